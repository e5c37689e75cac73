import pytest

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
BODY = {"metadata": {"name": "a"}}


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "https://test.evil.example.com", "http://test"])
async def test_a_page_of_another_site_writes_nothing_with_its_visitor_s_certificate(world, origin):
    await world.create("there")
    headers = {"origin": origin}
    for method, path in (("POST", CONFIG_MAPS), ("PUT", f"{CONFIG_MAPS}/there"), ("DELETE", f"{CONFIG_MAPS}/there")):
        answer = await world.client.request(method, path, headers=headers, json=BODY)
        assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert (await world.client.get(f"{CONFIG_MAPS}/there", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "https://test"}, {"origin": "https://elsewhere.example.com", "authorization": "Bearer given"}],
    ids=["no page", "own page", "a token"],
)
async def test_programs_own_pages_and_whoever_was_given_a_token_write(world, headers):
    answer = await world.client.post(CONFIG_MAPS, headers=headers, json=BODY)
    assert answer.status_code == 201


async def test_a_password_that_the_browser_adds_by_itself_is_no_token(world):
    headers = {"origin": "https://evil.example.com", "authorization": "Basic YTpi"}
    assert (await world.client.post(CONFIG_MAPS, headers=headers, json=BODY)).status_code == 403
