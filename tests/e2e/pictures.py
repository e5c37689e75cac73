"""Takes the pictures of the page for the documentation: ``python tests/e2e/pictures.py``, into docs/pictures."""

import random
import tempfile
import time
from pathlib import Path
from typing import Final

import lively_world
from lively_world import ADMIN, PROVIDER, flavor
from playwright.sync_api import Page
from real_browser import open_browser
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, start_server

PICTURES: Final = REPOSITORY / "docs" / "pictures"
SIZE: Final = {"width": 1280, "height": 800}
LIVELY_SECONDS: Final = 150.0
NAMES: Final = ("tiny", "edge", "burst", "gpu", "metal", "arm", "spot", "huge", "micro")


def live(kubectl: Kubectl) -> None:
    """A provider's few minutes: flavors come, change and go."""
    chance = random.Random(7)
    end = time.monotonic() + LIVELY_SECONDS
    while time.monotonic() < end:
        name = f"cpu-{chance.choice(NAMES)}"
        if chance.random() < 0.15:
            kubectl(PROVIDER, "delete", "cpuflavor", name, "--ignore-not-found")
        else:
            kubectl(PROVIDER, "apply", "-f", "-", stdin=flavor(name, chance.choice((2, 4, 8, 16, 32, 64))))
        time.sleep(chance.expovariate(0.7))


def open_page(page: Page, url: str) -> None:
    page.goto(f"{url}/dashboard")
    page.get_by_label("Bearer token").fill(ADMIN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="cloud-co").click()
    page.locator("article").first.wait_for()


def take(folder: Path) -> None:
    tokens = lively_world.write_tokens(folder / "tokens.csv")
    with start_server(folder / "root", "--token-auth-file", tokens) as server, open_browser() as browser:
        kubectl = Kubectl(kubectl_binary(), server, folder / "kubectl")
        lively_world.build(kubectl)
        pages = {}
        for scheme in ("light", "dark"):
            context = browser.new_context(ignore_https_errors=True, color_scheme=scheme, viewport=SIZE)  # type: ignore[arg-type]
            pages[scheme] = context.new_page()
            open_page(pages[scheme], server.url)
        live(kubectl)
        pages["light"].screenshot(path=PICTURES / "dashboard-light.png")
        pages["dark"].locator("article").first.get_by_role("button", name="Cache").click()
        pages["dark"].locator(".panel tbody tr").first.wait_for()
        pages["dark"].screenshot(path=PICTURES / "dashboard-dark.png")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kcpcache-pictures-") as folder:
        take(Path(folder))
