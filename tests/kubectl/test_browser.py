from dataclasses import replace

from kcpcache.kubectl.browser import Browser

KNOWN = {"root": ("root:a", "root:b"), "root:a": ("root:a:c",), "root:b": (), "root:a:c": ()}


def pressed(browser: Browser, *keys: str) -> Browser:
    for key in keys:
        browser = browser.press(key)
        browser = replace(browser, known={**browser.known, **{path: KNOWN[path] for path in browser.wanted()}})
    return browser


START = pressed(Browser("root", "root"), "KEY_RIGHT")


def test_an_opened_workspace_shows_what_is_below_it():
    assert START.lines(full=False) == [("▾ root", True), ("  ▸ a", False), ("  ▸ b", False)]
    assert Browser("root", "root").press("l").wanted() == ["root"]


def test_the_cursor_moves_within_the_rows():
    assert START.press("KEY_UP").cursor == "root"
    assert pressed(START, "j", "KEY_DOWN", "j", "j").cursor == "root:b"
    assert pressed(START, "j", "j", "k").cursor == "root:a"


def test_a_workspace_without_children_has_no_mark_once_that_is_known():
    browser = pressed(START, "j", "j", "l")
    assert browser.lines(full=True) == [("▾ root", False), ("  ▸ root:a", False), ("    root:b", True)]


def test_left_closes_what_is_open_and_else_goes_up():
    deep = pressed(START, "j", "l", "j")
    assert deep.cursor == "root:a:c"
    assert deep.press("h").cursor == "root:a"
    closed = pressed(deep, "h", "h")
    assert [path for path, _ in closed.rows()] == ["root", "root:a", "root:b"]
    assert pressed(closed, "h", "h", "h").cursor == "root"


def test_enter_chooses_and_q_does_not():
    assert pressed(START, "j", "\n").chosen == "root:a"
    quitted = pressed(START, "j", "q")
    assert quitted.finished
    assert not quitted.chosen
    assert START.press("x") == START
