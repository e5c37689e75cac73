"""B12: what a tenant at full load does to the GETs of another one.

Each has a workspace and a ServiceAccount of its own. The noise comes from a process of its own: run as
``python -m tests.bench.noise``, with what to do as JSON in the first line of standard input; ``loud`` and ``hushed``
in the lines after it have it begin and stop, and are answered with the same word once it has.

Rounds are by turns: quiet, noisy, quiet, noisy, quiet. A machine whose speed changes meanwhile shows in the quiet ones.
"""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import manifests
from tests.bench.client import Pool, Request, without_collector
from tests.bench.kubeconfig import BenchError, load_kubeconfig
from tests.bench.report import Goal, quantile
from tests.bench.site import Bench, Site
from tests.e2e.real_server import REPOSITORY, Lines

LOUD, HUSHED = "loud", "hushed"
START_SECONDS = 30.0
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
BIG_BYTES = 256 * 1024
REFUSED = "GET with a made-up token"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def gets(collection: str) -> Iterator[Request]:
    return itertools.repeat(Request("GET", f"{collection}/o000000"))


def lists(collection: str) -> Iterator[Request]:
    return itertools.repeat(Request("GET", collection))


def selecting_lists(collection: str) -> Iterator[Request]:
    return itertools.repeat(Request("GET", f"{collection}?fieldSelector=metadata.name%3Dnobody"))


def tables(collection: str) -> Iterator[Request]:
    return itertools.repeat(Request("GET", collection, accept=TABLE))


def creates(collection: str) -> Iterator[Request]:
    prefix = f"c{time.monotonic_ns()}"
    return (Request("POST", collection, manifests.widget(f"{prefix}-{n}")) for n in itertools.count())


def applies(collection: str) -> Iterator[Request]:
    """Of big objects, which cost far more than others."""
    maps = collection.replace(manifests.WIDGETS, "/api/v1/namespaces/default/configmaps")
    data = {f"key-{n:05}": "x" * 100 for n in range(BIG_BYTES // 128)}
    for number in itertools.count():
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "big"},
            "data": {**data, "n": str(number)},
        }
        yield Request("PATCH", f"{maps}/big?fieldManager=noise&force=true", json.dumps(body).encode(), APPLY)


NOISES: dict[str, tuple[Callable[[str], Iterator[Request]], int]] = {
    "GET": (gets, 256),
    "LIST": (lists, 16),
    "LIST with a field selector": (selecting_lists, 16),
    "LIST as Table": (tables, 16),
    REFUSED: (gets, 64),
    "CREATE": (creates, 64),
    "APPLY of 256 KB": (applies, 16),
}
"""What the noisy tenant does, on how many connections."""


async def noisy_neighbour(bench: Bench) -> None:
    """B12. The quiet tenant asks for one object, again and again, alone and beside each kind of noise."""
    site, sizes = bench.site, bench.sizes
    site.need_workspaces()
    noisy, quiet = await site.workspaces(["noisy", "quiet"])
    collection, own = await site.define(noisy), await site.define(quiet)
    await site.fill(collection, (f"o{number:06}" for number in range(sizes.list_objects)))
    await site.fill(own, ["one"])
    noisy_token, quiet_token = await _account(site, noisy), await _account(site, quiet)
    target = load_kubeconfig(site.kubeconfig, site.target.pid, token=quiet_token)
    get = Request("GET", f"{own}/one")
    async with Pool(target, 1) as pool:

        async def p99() -> float:
            answers = await pool.each(itertools.repeat(get), until=time.perf_counter() + sizes.turn_seconds)
            return quantile([answer.seconds for answer in answers], 0.99) * 1e3

        await p99()  # warms up
        for name, (_, connections) in NOISES.items():
            token = "made-up" if name == REFUSED else noisy_token
            with _noise(site.kubeconfig, token, name, collection) as switch:
                alone, beside = [await p99()], []
                for _ in range(sizes.turns):
                    switch(LOUD)
                    beside.append(await p99())
                    switch(HUSHED)
                    alone.append(await p99())
            title = f"GET p99 beside a tenant's {name}, {connections} at once"
            bench.report.add("B12", title, "ms", beside, baseline=alone, goal=Goal("<=", 3, of_ratio=True))
            bench.report.notes.append(f"{title}: {by_turns(alone, beside)}")


def by_turns(alone: Sequence[float], beside: Sequence[float]) -> str:
    """Each noisy round between the quiet ones right before and after it, and its ratio to their mean."""
    rounds = zip(alone, beside, alone[1:], strict=False)
    text = ", ".join(f"{noisy:.2f} ({2 * noisy / (before + after):.1f} x)" for before, noisy, after in rounds)
    return f"{text}; quiet before, between and after: {', '.join(f'{one:.2f}' for one in alone)} ms"


async def _account(site: Site, workspace: str) -> str:
    """The token of a ServiceAccount that may do everything in the workspace."""
    base = site.base(workspace)
    await site.pool.call("POST", base + ACCOUNTS, {"metadata": {"name": "bench"}})
    binding: dict[str, Any] = {
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": "bench"}],
    }
    await site.pool.call("POST", base + BINDINGS, binding)
    found = await site.pool.call("POST", f"{base}{ACCOUNTS}/bench/token", {"spec": {}})
    return str(found["status"]["token"])


@contextlib.contextmanager
def _noise(kubeconfig: Path, token: str, name: str, collection: str) -> Iterator[Callable[[str], None]]:
    """A switch that takes ``LOUD`` and ``HUSHED``, and returns once it is so."""
    command = [sys.executable, "-m", "tests.bench.noise"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            source, lines = process.stdin, Lines(process.stdout)

            def say(line: str, answer: str) -> None:
                source.write(f"{line}\n")
                source.flush()
                lines.until(lambda text: text.strip() == answer, START_SECONDS)

            wanted = {"kubeconfig": str(kubeconfig), "token": token, "name": name, "collection": collection}
            say(json.dumps(wanted), HUSHED)
            yield lambda word: say(word, word)
            if process.poll() is not None:
                raise BenchError(f"the noise {name!r} has ended by itself")
        finally:
            process.kill()


def _step_back() -> None:
    """Where server and quiet tenant go before others (``nice -n -15``, ``chrt -r 2``), the noise does not."""
    if os.sched_getscheduler(0) in {os.SCHED_RR, os.SCHED_FIFO}:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    elif os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


async def _make_noise(kubeconfig: str, token: str, name: str, collection: str) -> None:
    requests, connections = NOISES[name]
    target, source = load_kubeconfig(Path(kubeconfig), token=token), requests(collection)
    loop, loud, busy = asyncio.get_running_loop(), asyncio.Event(), set[asyncio.Task[None]]()
    answers = asyncio.Semaphore(0)

    async def work(pool: Pool) -> None:
        while loud.is_set():
            await pool.send(next(source), keep=False)  # whatever the answer, a refusal among them
            answers.release()

    async with Pool(target, connections) as pool:
        await asyncio.gather(*(pool.send(next(source), keep=False) for _ in range(connections)))
        word = HUSHED
        while word:
            if word == LOUD:
                loud.set()
                busy, answers = {asyncio.create_task(work(pool)) for _ in range(connections)}, asyncio.Semaphore(0)
                for _ in range(connections):  # so long it begins: all that is sent at once comes at once
                    await answers.acquire()
            else:
                loud.clear()
                await asyncio.gather(*busy)
            print(word, flush=True)  # noqa: T201 -- the parent waits for it
            word = (await loop.run_in_executor(None, sys.stdin.readline)).strip()


if __name__ == "__main__":
    _step_back()
    without_collector()
    uvloop.run(_make_noise(**json.loads(sys.stdin.readline())))
