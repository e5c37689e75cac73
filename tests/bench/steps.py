"""How long one step of the event loop is, for the most that a tenant may send: what everybody else waits for.

Run as ``python -m tests.bench.steps [WORD…]``; words pick cases by a part of their name. The server runs in a process
of its own, on asyncio's own event loop, of which each callback is timed; a thread looks where the long ones are.
"""

# ruff: noqa: T201 -- printing is what it is for

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench.client import Pool
from tests.bench.heavy import CASES, Case
from tests.bench.kubeconfig import load_kubeconfig
from tests.bench.site import open_site
from tests.e2e.real_server import REPOSITORY, Lines

LONG_SECONDS = 0.010
SHOWN = 3
_READY, _SAMPLE_SECONDS, _SHOWN_FRAMES = "the server is ready", 0.002, 5


# -- in the server's process


class Watcher:
    """Times each callback of the event loop, and samples the stack of those that take long."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.frames: Counter[str] = Counter()
        self._began = 0.0
        self._loop_thread = threading.get_ident()
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            self._began = began = time.perf_counter()
            run(handle)
            self._began = 0.0
            self.steps.append(time.perf_counter() - began)

        asyncio.Handle._run = timed  # type: ignore[method-assign]
        sys.setswitchinterval(_SAMPLE_SECONDS / 4)
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            time.sleep(_SAMPLE_SECONDS)
            began = self._began
            if began and time.perf_counter() - began > LONG_SECONDS:
                self.frames[_where(sys._current_frames()[self._loop_thread])] += 1

    def report(self) -> dict[str, Any]:
        """What came since the last report."""
        steps, self.steps = self.steps, []
        frames, self.frames = self.frames, Counter()
        long = sorted((step for step in steps if step > LONG_SECONDS), reverse=True)
        return {"count": len(steps), "long": len(long), "longest": long[:SHOWN], "frames": frames.most_common(8)}


def _where(frame: FrameType | None) -> str:
    """The innermost frames of the program, the outermost of them first."""
    found: list[str] = []
    while frame is not None and len(found) < _SHOWN_FRAMES:
        code = frame.f_code
        name = f"{Path(code.co_filename).stem}.{code.co_name}"
        if "kcpcache" in code.co_filename and (not found or found[-1] != name):
            found.append(name)
        frame = frame.f_back
    return " > ".join(reversed(found))


def serve(root: str) -> None:
    """Run a server, and answer each line of standard input with a report."""
    from kcpcache.config import Settings
    from kcpcache.logs import configure_logs
    from kcpcache.server import Server

    configure_logs("error")
    watcher = Watcher()

    def answer() -> None:
        for _ in sys.stdin:
            print(json.dumps(watcher.report()), flush=True)

    async def main() -> None:
        settings = Settings(root_dir=Path(root), port=0)
        await Server(settings, lambda _url, _path: print(_READY, flush=True)).run()

    threading.Thread(target=answer, daemon=True).start()
    asyncio.run(main())


# -- in the client's process


async def measure(root: Path, process: "subprocess.Popen[str]", cases: list[Case]) -> None:
    """Put each case, and show the longest steps that it took."""
    assert process.stdin is not None
    assert process.stdout is not None
    lines = Lines(process.stdout)
    lines.until(lambda text: text == _READY, 60)

    def report() -> dict[str, Any]:
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(lines.next(30).text or "{}")

    kubeconfig = root / "admin.kubeconfig"
    async with open_site(kubeconfig, process.pid) as site, Pool(load_kubeconfig(kubeconfig, process.pid), 1) as pool:
        collection = await site.define(site.path)
        for case in cases:
            for request in case.before(site.base()) if case.before else ():
                await pool.send(request)
            if case.objects:
                await site.fill(collection, (f"o{number:06}" for number in range(case.objects)))
            report()
            for request in case.requests(site.base()):
                began = time.perf_counter()
                answer = await pool.send(request)
                seconds = time.perf_counter() - began
                await asyncio.sleep(0.3)
                _show(case.name, answer.status, answer.body, seconds, report())


def _show(name: str, status: int, body: bytes, seconds: float, found: dict[str, Any]) -> None:
    longest = " ".join(f"{1e3 * step:.0f}" for step in found["longest"])
    print(f"{name:44} {status} {1e3 * seconds:7.0f} ms, {found['count']:5} steps, {found['long']:3} long: {longest}")
    if status >= 300:
        print(f"    {body[:200]!r}")
    for where, count in found["frames"]:
        print(f"    {count:4} {where}")
    sys.stdout.flush()


def main(words: list[str]) -> None:
    cases = [case for case in CASES if not words or any(word in case.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="kcpcache-steps-") as folder:
        command = [sys.executable, "-m", "tests.bench.steps", "--serve", folder]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                asyncio.run(measure(Path(folder), process, cases))
            finally:
                process.kill()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main(sys.argv[1:])
