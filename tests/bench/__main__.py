"""How fast and how large: B1 to B12 and a big installation, as one table. See docs/performance.md.

Run ``python -m tests.bench``, against a server that it starts itself, or with ``--kubeconfig`` against any other on
this machine. Exit code 1: something could not be measured, or an answer was wrong. A goal missed is only a "no".
"""

# ruff: noqa: T201 -- printing is what it is for

import argparse
import asyncio
import dataclasses
import gc
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench import lifecycle, noise, replication, requests, scale, watches, workspaces, writes
from tests.bench.baseline import run_baseline
from tests.bench.client import without_collector
from tests.bench.kubeconfig import BenchError
from tests.bench.report import Report, machine
from tests.bench.site import Bench, open_site, own_server
from tests.bench.sizes import FULL, QUICK, TINY, Sizes

ON_ITS_OWN_SERVER: dict[str, Callable[[Path, Sizes, Report], Awaitable[None]]] = {
    "B1": lifecycle.cold_start,
    "B11": lifecycle.restart,
}
ON_ANY_SERVER: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "B2": requests.get_one,
    "B3": requests.list_many,
    "B4": writes.create,
    "B5": requests.patch_status,
    "B6": watches.fan_out,
    "B7": replication.lag,
    "B8": replication.consumers,
    "B9": workspaces.workspaces,
    "B10": replication.cached,
    "B12": noise.noisy_neighbour,
    "scale": scale.scale,
}
NAMES = [*(f"B{number}" for number in range(1, 13)), "scale"]
EXPECTED = (BenchError, OSError, TimeoutError, AssertionError)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kubeconfig", type=Path, help="a server that runs on this machine; default: an own one")
    parser.add_argument("--pid", type=int, help="with --kubeconfig: the server's process, to read its memory")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small counts, under two minutes")
    size.add_argument("--tiny", action="store_true", help="the least that runs everything; its figures mean nothing")
    parser.add_argument("--only", type=_names, default=NAMES, help="for example B2,B3,scale")
    parser.add_argument("--scale", type=_scale, help="PROVIDERS,CONSUMERS,OBJECTS; default 100,100,100")
    parser.add_argument("--json", type=Path, help="write everything to this file, anew after each workload")
    parser.add_argument("--plots", type=Path, help="write growth curves to this folder, as SVG; needs matplotlib")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    wanted = {name.strip().lower() for name in text.split(",")}
    if unknown := wanted - {name.lower() for name in NAMES}:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return [name for name in NAMES if name.lower() in wanted]


def _scale(text: str) -> tuple[int, int, int]:
    try:
        providers, consumers, objects = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers") from None
    if min(providers, consumers, objects) < 1:
        raise argparse.ArgumentTypeError("each number is at least 1")
    return providers, consumers, objects


async def measure(options: argparse.Namespace, sizes: Sizes, report: Report, folder: Path) -> None:
    """Run what was asked for, one after the other; a failure of one is noted and does not end the others.

    What one has brought is told and written at once: who has to stop it keeps what there is.
    """
    async with run_baseline(folder / "baseline", sizes.connections) as baseline:
        for name in options.only:
            began, there = time.monotonic(), len(report.rows)
            gc.collect()  # between workloads only: see without_collector
            print(f"{time.strftime('%H:%M:%S')} {name} …", file=sys.stderr, flush=True)
            try:
                async with asyncio.timeout(sizes.workload_seconds):
                    if name in ON_ANY_SERVER and options.kubeconfig is not None:
                        async with open_site(options.kubeconfig, options.pid) as site:
                            await ON_ANY_SERVER[name](Bench(site, baseline, sizes, report))
                    elif name in ON_ANY_SERVER:
                        with own_server(folder / name) as server:
                            async with open_site(folder / name / "bench.kubeconfig", server.process.pid) as site:
                                await ON_ANY_SERVER[name](Bench(site, baseline, sizes, report))
                    elif options.kubeconfig is None:
                        await ON_ITS_OWN_SERVER[name](folder / name, sizes, report)
                    else:
                        report.notes.append(f"{name}: only for a server that this program starts")
            except* EXPECTED as errors:
                report.failures.append(f"{name}: {_first(errors)}")
            print(f"{report.lines(there)}{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
            write_json(options, sizes, report)


def write_json(options: argparse.Namespace, sizes: Sizes, report: Report) -> None:
    """Everything so far, if it is wanted: in one step, so that the file is never half of it."""
    if options.json is None:
        return
    part = options.json.with_name(f"{options.json.name}.part")
    part.write_bytes(report.json({"sizes": dataclasses.asdict(sizes), "workloads": options.only}))
    part.replace(options.json)


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__} {error}".strip()


def main() -> int:
    options, report = arguments(), Report()
    sizes = TINY if options.tiny else QUICK if options.quick else FULL
    if options.scale:
        sizes = dataclasses.replace(sizes, scale=options.scale)
    watches.raise_file_limit()
    without_collector()
    report.notes.append(f"machine at the start: {machine()}")
    with tempfile.TemporaryDirectory(prefix="kcpcache-bench-") as folder:
        # As after an installation: what the first start compiles, the others find.
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            uvloop.run(measure(options, sizes, report, Path(folder)))
        except KeyboardInterrupt:
            report.failures.append("interrupted: what is missing was not measured")
    if options.plots is not None and (why := report.plot(options.plots)):
        report.notes.append(why)
    print(report.table())
    write_json(options, sizes, report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
