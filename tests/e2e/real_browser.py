"""Chromium as users have it, without a window, driven by playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

MISSING = "no chromium on this machine: apt-get install chromium"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)


def chromium_binary() -> str:
    """The browser to test with. Without one the test is skipped, in CI it fails."""
    found = shutil.which("chromium")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    return str(found)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser that trusts every certificate, as someone does who has been asked about ours."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_binary(), headless=True, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
