"""The page in a real Chromium, against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lively_world
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lively_world import ADMIN, PROVIDER, STRANGER, flavor
from playwright.sync_api import Browser, Page, expect
from real_browser import open_browser
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, start_server

MARKUP = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dashboard")
    tokens = lively_world.write_tokens(folder / "tokens.csv")
    with start_server(folder / "root", "--token-auth-file", tokens) as server:
        yield server


@pytest.fixture(scope="module")
def story(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    kubectl = Kubectl(kubectl_binary(), server, tmp_path_factory.mktemp("kubectl"))
    lively_world.build(kubectl)
    return kubectl


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: Server, story: Kubectl) -> Iterator[Page]:
    """A fresh tab that is not signed in. Fails in the end where the page had an error, or asked anybody else."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: None if request.url.startswith(server.url) else wrong.append(request.url))
    page.goto(f"{server.url}/dashboard")
    yield page
    context.close()
    assert not wrong


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Bearer token").fill(token)
    page.get_by_label("Bearer token").press("Enter")


def card(page: Page, name: str) -> Any:
    return page.locator("article").filter(has=page.get_by_role("heading", name=name))


def test_a_wrong_token_is_refused_and_a_right_one_stays_for_the_tab_until_signing_out(page: Page) -> None:
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The server does not know this token.")
    sign_in(page, ADMIN)
    expect(page.locator(".user")).to_have_text("operator")
    page.reload()
    expect(page.locator(".user")).to_have_text("operator")
    stored = page.evaluate("JSON.stringify([Object.values(localStorage), document.cookie])")
    assert ADMIN not in stored
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert ADMIN not in page.evaluate("JSON.stringify(Object.values(sessionStorage))")


def test_a_browser_with_a_certificate_needs_no_token_and_one_without_is_told(
    page: Page, browser: Browser, server: Server
) -> None:
    page.get_by_role("button", name="Use my browser's certificate").click()
    expect(page.get_by_role("alert")).to_contain_text("your browser showed no certificate")
    pem = str(server.user_pem("kcp-admin"))
    certificate = {"origin": server.url, "certPath": pem, "keyPath": pem}
    context = browser.new_context(ignore_https_errors=True, client_certificates=[certificate])
    other = context.new_page()
    other.goto(f"{server.url}/dashboard")
    other.get_by_role("button", name="Use my browser's certificate").click()
    expect(other.locator(".user")).to_have_text("kcp-admin")
    context.close()


def test_the_flow_of_a_cached_resource_is_live(page: Page, story: Kubectl) -> None:
    sign_in(page, ADMIN)
    page.get_by_role("button", name="cloud-co").click()
    flow = card(page, "cpuflavors-v1")
    counts = flow.locator(".count")
    expect(counts).to_have_text(["3", "3", "4"])
    expect(flow.locator(".conditions li")).to_have_text(["IdentityValid", "ReplicationStarted", "ResourceValid"])
    expect(flow.get_by_role("link", name="root:shop")).to_be_visible()
    story(PROVIDER, "apply", "-f", "-", stdin=flavor("cpu-new", 64))
    expect(counts).to_have_text(["4", "4", "4"])
    expect(flow.locator("figcaption")).to_contain_text("1 change in 3 minutes")
    expect(flow.locator(".plot .dot")).to_have_count(1)
    panel = page.locator(".panel")
    flow.get_by_role("button", name="Consumers").click()
    expect(panel.locator("tbody tr").first).to_contain_text("in root:")
    flow.get_by_role("button", name="Cache").click()
    expect(panel.get_by_role("button", name="cpu-new")).to_be_visible()
    panel.get_by_role("button", name="cpu-new").click()
    expect(panel.locator("pre")).to_contain_text("cores: 64")
    story(PROVIDER, "patch", "cpuflavor", "cpu-new", "--type=merge", "-p", '{"spec":{"dedicated":true}}')
    expect(panel.locator("pre")).to_contain_text("dedicated: true")
    story(PROVIDER, "delete", "cpuflavor", "cpu-new")
    expect(panel).to_contain_text("deleted; this was its last state")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(counts).to_have_text(["3", "3", "4"])


def test_the_page_goes_on_after_the_server_was_started_again(browser: Browser, tmp_path: Path) -> None:
    tokens = lively_world.write_tokens(tmp_path / "tokens.csv")
    with start_server(tmp_path / "root", "--token-auth-file", tokens) as server:
        kubectl = Kubectl(kubectl_binary(), server, tmp_path / "kubectl")
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{server.url}/dashboard")
        sign_in(page, ADMIN)
        kubectl.workspaces("before")
        expect(page.get_by_role("button", name="before")).to_be_visible()
        lost = page.get_by_text("The server does not answer.")
        expect(lost).to_be_hidden()
        server.terminate()
        expect(lost).to_be_visible(timeout=30_000)
    with start_server(tmp_path / "root", "--token-auth-file", tokens, port=server.port) as server:
        kubectl = Kubectl(kubectl_binary(), server, tmp_path / "again")
        kubectl.workspaces("after")
        expect(page.get_by_role("button", name="after")).to_be_visible(timeout=30_000)
        expect(lost).to_be_hidden()
        context.close()


def test_only_what_the_selector_takes_is_among_the_originals(page: Page) -> None:
    sign_in(page, ADMIN)
    page.get_by_role("button", name="cloud-co").click()
    card(page, "memflavors-v1").get_by_role("button", name="Provider").click()
    expect(page.locator(".panel tbody tr")).to_have_count(2)


def test_a_consumer_sees_its_bindings_and_new_workspaces_appear_by_themselves(page: Page, story: Kubectl) -> None:
    sign_in(page, ADMIN)
    page.get_by_role("button", name="shop").click()
    expect(page.get_by_role("button", name="cpuflavors 3 read-only")).to_be_visible()
    story.workspaces("brand-new")
    expect(page.get_by_role("button", name="brand-new")).to_be_visible()
    story("root", "delete", "workspace", "brand-new")
    expect(page.get_by_role("button", name="brand-new")).to_be_hidden()
    story.workspaces("below", parent="root:shop")
    expect(page.get_by_role("tree").get_by_role("button", name="below")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="below").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("root : shop : below")
    page.reload()
    expect(page.get_by_role("tree").get_by_role("button", name="below")).to_have_attribute("aria-current", "page")


def test_an_address_opens_the_tree_down_to_what_it_names(page: Page, story: Kubectl) -> None:
    story.workspaces("division")
    story.workspaces("team", parent="root:division")
    story.workspaces("project", parent="root:division:team")
    sign_in(page, ADMIN)
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("button", name="division")).to_be_visible()
    page.evaluate("location.hash = '#/root:division:team:project'")
    expect(tree.get_by_role("button", name="project")).to_have_attribute("aria-current", "page")
    expect(page.get_by_text("type root:universal")).to_be_visible()
    expect(page.get_by_text("Nothing is shared, exported or bound here")).to_be_visible()
    page.evaluate("location.hash = '#/root:division:team'")
    expect(page.get_by_role("heading", level=1)).to_have_text("root : division : team")
    expect(page.get_by_text("Nothing is shared, exported or bound here")).to_be_hidden()
    expect(tree.get_by_role("treeitem").filter(has_text="project").last).not_to_have_attribute("aria-expanded", "false")
    page.evaluate("location.hash = '#/%E0%A4%A'")
    expect(page.get_by_role("heading", level=1)).to_have_text("root")


def test_somebody_sees_the_workspaces_that_he_may_enter_and_no_others(page: Page, story: Kubectl) -> None:
    access = ("clusterrolebinding", "somebody", "--clusterrole=system:kcp:workspace:access", "--user=somebody")
    story("root:shop", "create", *access)
    sign_in(page, STRANGER)
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("button", name="shop")).to_be_visible()
    assert tree.get_by_role("button").all_inner_texts()[0].strip().endswith("root")
    assert "cloud-co" not in page.locator("body").inner_text()
    page.evaluate("location.hash = '#/root:cloud-co'")
    expect(page.get_by_role("alert")).to_have_text("There is no such workspace, or you may not enter it.")
    tree.get_by_role("button", name="shop").click()
    expect(page.get_by_role("heading", name="All resources")).to_be_visible()
    story("root:billing", "create", *access)
    tree.get_by_role("button", name="root", exact=True).click()
    expect(tree.get_by_role("button", name="billing")).to_be_visible()


def test_markup_in_an_object_is_shown_and_never_run(page: Page, story: Kubectl) -> None:
    story(PROVIDER, "apply", "-f", "-", stdin=flavor("cpu-evil", 1, note=MARKUP))
    sign_in(page, ADMIN)
    page.get_by_role("button", name="cloud-co").click()
    card(page, "cpuflavors-v1").get_by_role("button", name="Provider").click()
    page.get_by_role("button", name="cpu-evil").click()
    expect(page.locator(".panel pre")).to_contain_text("<img src=x onerror=")
    assert page.locator(".panel pre *").count() == 0
    assert page.title() == f"{PROVIDER} · kcpcache"
    story(PROVIDER, "delete", "cpuflavor", "cpu-evil")


def test_the_keyboard_is_enough(page: Page) -> None:
    sign_in(page, ADMIN)
    expect(page.get_by_role("button", name="shop")).to_be_visible()
    page.get_by_role("button", name="root", exact=True).focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("root : cloud-co")
    card(page, "cpuflavors-v1").get_by_role("button", name="Provider").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".panel h2")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Filter by name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(card(page, "cpuflavors-v1").get_by_role("button", name="Provider")).to_be_focused()


def test_the_page_follows_the_scheme_and_the_width_of_the_browser(page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    light = background()
    page.emulate_media(color_scheme="dark")
    assert background() != light
    sign_in(page, ADMIN)
    page.set_viewport_size({"width": 380, "height": 800})
    page.get_by_role("button", name="cloud-co").click()
    expect(card(page, "cpuflavors-v1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_lag_is_measured_between_the_events_that_belong_together(page: Page) -> None:
    story = """async () => {
        const { LagMeter } = await import('/dashboard/lag.js');
        const meter = new LagMeter();
        meter.original('ADDED', 'a', 1000); meter.copy('ADDED', 'a', 1007);
        meter.original('MODIFIED', 'b', 2000); meter.original('MODIFIED', 'b', 2010); meter.copy('MODIFIED', 'b', 2030);
        meter.copy('MODIFIED', 'b', 2040);
        meter.original('DELETED', 'b', 3000); meter.copy('DELETED', 'b', 3004);
        meter.copy('ADDED', 'early', 4000); meter.original('ADDED', 'early', 4100);
        meter.copy('ADDED', 'unseen', 5000); meter.original('MODIFIED', 'unseen', 9000);
        meter.copy('MODIFIED', 'unseen', 9005);
        return [meter.samples.map(({ lag }) => lag), meter.recent(9000 + 4 * 60000).length];
    }"""
    assert page.evaluate(story) == [[7, 30, 4, 0, 5], 0]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**50), 2**50),
    st.floats(-1e9, 1e9, width=32),
    st.text(max_size=12),
    st.sampled_from(
        ["no", "null", "1e3", "0x1F", "12:30", "2026-01-01", " a", "a\nb", "a: b", "#", "- x", "~", "a\n\n"]
    ),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def test_what_is_shown_as_yaml_means_the_object(page: Page) -> None:
    page.evaluate("async () => { window.yaml = await import('/dashboard/yaml.js'); }")

    @settings(max_examples=150, database=None)
    @given(st.dictionaries(st.text(max_size=6), DOCUMENTS, max_size=5))
    def check(document: dict[str, Any]) -> None:
        encoded = json.dumps(document)
        text = page.evaluate("(text) => yaml.toYaml(JSON.parse(text), { bookkeeping: true })", encoded)
        assert yaml.safe_load(text) == json.loads(encoded)

    check()
