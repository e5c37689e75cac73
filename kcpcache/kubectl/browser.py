"""``kubectl ws tree -i``: walk through the workspaces with the arrow keys, and enter one."""

import curses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kcpcache.client.workspaces import cluster_of
from kcpcache.kubectl import commands
from kcpcache.kubectl.paths import split
from kcpcache.kubectl.session import CommandError, Session
from kcpcache.kubectl.tree import children
from kcpcache.kubectl.workspace import use

_UP, _DOWN, _RIGHT, _LEFT = ("KEY_UP", "k"), ("KEY_DOWN", "j"), ("KEY_RIGHT", "l", " "), ("KEY_LEFT", "h")
_ENTER, _QUIT = ("\n", "\r", "KEY_ENTER"), ("q", "\x1b")
_HELP = "↑↓ move   → open   ← close   Enter: use this workspace   q: quit"


@dataclass(frozen=True, slots=True)
class Browser:
    """What is on the screen. ``known`` has the children of every workspace that was looked into."""

    root: str
    cursor: str
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    opened: frozenset[str] = frozenset()
    finished: bool = False
    chosen: str = ""

    def rows(self) -> list[tuple[str, int]]:
        """The visible workspaces from top to bottom, with their depth."""
        found, rest = [], [(self.root, 0)]
        while rest:
            path, depth = rest.pop()
            found.append((path, depth))
            if path in self.opened:
                rest += [(child, depth + 1) for child in reversed(self.known.get(path, ()))]
        return found

    def press(self, key: str) -> "Browser":
        """After a key. A workspace that was opened must be looked into: see ``wanted``."""
        paths = [path for path, _ in self.rows()]
        at = paths.index(self.cursor)
        if key in _UP:
            return replace(self, cursor=paths[max(0, at - 1)])
        if key in _DOWN:
            return replace(self, cursor=paths[min(len(paths) - 1, at + 1)])
        if key in _RIGHT:
            return replace(self, opened=self.opened | {self.cursor})
        if key in _LEFT and self.cursor in self.opened:
            return replace(self, opened=self.opened - {self.cursor})
        if key in _LEFT:
            parents = [path for path, below in self.known.items() if self.cursor in below]
            return replace(self, cursor=parents[0] if parents else self.cursor)
        if key in _ENTER:
            return replace(self, finished=True, chosen=self.cursor)
        return replace(self, finished=True) if key in _QUIT else self

    def wanted(self) -> list[str]:
        """Opened workspaces whose children are not known yet."""
        return [path for path, _ in self.rows() if path in self.opened and path not in self.known]

    def lines(self, full: bool) -> list[tuple[str, bool]]:
        """What to show, and whether it is the chosen line."""
        found = []
        for path, depth in self.rows():
            leaf = path in self.known and not self.known[path]
            mark = " " if leaf else ("▾" if path in self.opened else "▸")
            found.append((f"{'  ' * depth}{mark} {path if full else split(path)[1]}", path == self.cursor))
        return found


def browse(session: Session, current: str, *, full: bool) -> None:
    """Show the whole tree around the current workspace; enter the workspace that is chosen."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("interactive mode needs a terminal")
    ancestors = current.split(":")
    above = [":".join(ancestors[:count]) for count in range(1, len(ancestors))]
    browser = Browser(ancestors[0], ancestors[0], opened=frozenset({*above, ancestors[0]}))
    browser = _look(session, browser)
    if current in [path for path, _ in browser.rows()]:
        browser = replace(browser, cursor=current)
    chosen = curses.wrapper(_loop, session, browser, full)
    if chosen:
        use(session, commands.Use(f":{chosen}"))


def _look(session: Session, browser: Browser) -> Browser:
    while wanted := browser.wanted():
        specs = [child.get("spec", {}) for child in children(session, wanted[0])]
        # What is mounted belongs to another server, and has no workspace here to enter.
        found = [cluster_of(str(spec.get("URL", ""))) for spec in specs if spec.get("mount") is None]
        below = tuple(each[1] for each in found if each is not None)
        browser = replace(browser, known={**browser.known, wanted[0]: below})
    return browser


def _loop(screen: Any, session: Session, browser: Browser, full: bool) -> str:
    curses.set_escdelay(25)
    curses.curs_set(0)
    while not browser.finished:
        _draw(screen, browser, full)
        try:
            key = screen.getkey()
        except curses.error:  # the window changed its size
            continue
        browser = _look(session, browser.press(key))
    return browser.chosen


def _draw(screen: Any, browser: Browser, full: bool) -> None:
    screen.erase()
    height, width = screen.getmaxyx()
    shown, lines = max(1, height - 2), browser.lines(full)
    at = next(number for number, (_, chosen) in enumerate(lines) if chosen)
    first = max(0, min(at - shown // 2, len(lines) - shown))
    for row, (text, chosen) in enumerate(lines[first : first + shown]):
        screen.addnstr(row, 0, text, width - 1, curses.A_REVERSE if chosen else curses.A_NORMAL)
    screen.addnstr(height - 1, 0, _HELP, width - 1, curses.A_DIM)
    screen.refresh()
