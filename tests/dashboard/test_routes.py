import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from kcpcache.dashboard import routes

STATIC = Path(routes.__file__).parent / "static"
FILES = [f"/dashboard/{file.name}" for file in STATIC.iterdir() if file.name != "index.html"]


@pytest.fixture
async def client():
    app = FastAPI()
    app.include_router(routes.router())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/dashboard", *FILES])
async def test_every_file_is_served_with_its_type_and_lets_nothing_else_in(client, path):
    answer = await client.get(path)
    assert answer.status_code == 200
    wanted = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].startswith(wanted[path.rpartition(".")[2] if "." in path else "html"])
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_the_browser_has_is_not_sent_again(client):
    tag = (await client.get("/dashboard/main.js")).headers["etag"]
    again = await client.get("/dashboard/main.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get("/dashboard/main.js", headers={"if-none-match": '"old"'})).status_code == 200


async def test_nothing_else_is_there(client):
    for path in ("/dashboard/none.js", "/dashboard/../routes.py", "/dashboard/%2e%2e/routes.py"):
        assert (await client.get(path)).status_code == 404


def test_the_page_refers_to_its_own_files_only_and_sets_no_markup():
    for file in STATIC.iterdir():
        text = file.read_text()
        elsewhere = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not elsewhere, file.name
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            " style=",
        ):
            assert way not in text, f"{way} in {file.name}"
        for imported in re.findall(r"""from "\./([^"]+)";""", text):
            assert (STATIC / imported).is_file()
