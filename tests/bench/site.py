"""A server under test, and a place of its own on it for one workload, cleared away afterwards."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import manifests
from tests.bench.baseline import Baseline
from tests.bench.client import Pool, Request
from tests.bench.kubeconfig import BenchError, Target, load_kubeconfig
from tests.bench.report import Report
from tests.bench.sizes import Sizes
from tests.e2e.real_server import Server, start_server

WAIT_SECONDS = 300.0
PAUSE_SECONDS = 0.05
IN_FLIGHT = 64


@dataclass(frozen=True)
class Site:
    """Where a workload works: below the workspace ``path``; ``path`` is empty on a server without workspaces."""

    target: Target
    kubeconfig: Path
    pool: Pool
    path: str

    def base(self, path: str | None = None) -> str:
        """The URL prefix of a workspace given by its path; of this place itself without one."""
        path = self.path if path is None else path
        return f"/clusters/{path}" if path else ""

    def need_workspaces(self) -> None:
        """Raises BenchError on a server that has none."""
        if not self.path:
            raise BenchError("this server has no workspaces")

    async def workspace(self, name: str) -> str:
        """The path of a new workspace that is Ready; on a server without workspaces, the one place there is."""
        if not self.path:
            return ""
        await self.pool.call("POST", self.base() + manifests.WORKSPACES, manifests.workspace(name))
        await self.until(f"{self.base()}{manifests.WORKSPACES}/{name}", phase_is("Ready"))
        return f"{self.path}:{name}"

    async def workspaces(self, names: Iterable[str]) -> list[str]:
        """As ``workspace``, many at once."""
        return await gather(self.workspace(name) for name in names)

    async def until(self, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The object at ``path`` as soon as it is as wanted. Raises BenchError after ``WAIT_SECONDS``."""
        deadline, found = time.monotonic() + WAIT_SECONDS, {}
        while not wanted(found := await self.pool.call("GET", path)):
            if time.monotonic() > deadline:
                raise BenchError(f"{path} does not get as it should; its status is {found.get('status')}")
            await asyncio.sleep(PAUSE_SECONDS)
        return found

    async def until_served(self, path: str) -> None:
        """Wait until GET succeeds. Raises BenchError after ``WAIT_SECONDS``."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (answer := await self.pool.send(Request("GET", path), keep=False)).status != 200:
            if time.monotonic() > deadline:
                raise BenchError(f"{path} is not served: {answer.status}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def define(self, path: str) -> str:
        """Define the widgets in a workspace; the URL of their collection."""
        base = self.base(path)
        await self.pool.call("POST", base + manifests.CRDS, manifests.crd())
        await self.until(f"{base}{manifests.CRDS}/{manifests.PLURAL}.{manifests.GROUP}", condition_is("Established"))
        await self.until_served(f"{base}{manifests.WIDGETS}?limit=1")
        return base + manifests.WIDGETS

    async def fill(self, collection: str, names: Iterable[str], *, owner: str = "bench", size_bytes: int = 1024) -> int:
        """Create widgets, as many at once as there are connections; how many."""
        bodies = (manifests.widget(name, owner=owner, size_bytes=size_bytes) for name in names)
        return len(await self.pool.each(Request("POST", collection, body) for body in bodies))

    async def share(self, path: str) -> float:
        """Cache the widgets of a workspace and export them; seconds from the CachedResource's creation to Ready."""
        base = self.base(path)
        began = time.perf_counter()
        await self.pool.call("POST", base + manifests.CACHED, manifests.cached_resource())
        found = await self.until(f"{base}{manifests.CACHED}/{manifests.PLURAL}", phase_is("Ready"))
        seconds = time.perf_counter() - began
        await self.pool.call("POST", base + manifests.SCHEMAS, manifests.api_resource_schema())
        await self.pool.call("POST", base + manifests.EXPORTS, manifests.api_export(found["status"]["identityHash"]))
        return seconds

    async def bind(self, path: str, provider: str) -> str:
        """Bind a workspace to what another shares; the URL of the widgets seen there, once Bound and served."""
        base = self.base(path)
        await self.pool.call("POST", base + manifests.BINDINGS, manifests.api_binding(provider))
        await self.until(f"{base}{manifests.BINDINGS}/{manifests.EXPORT}", phase_is("Bound"))
        await self.until_served(f"{base}{manifests.WIDGETS}?limit=1")
        return base + manifests.WIDGETS

    async def counted(self, path: str, count: int) -> None:
        """Wait until a workspace's CachedResource counts so many originals and copies."""
        wanted = {"local": count, "cache": count}
        await self.until(
            f"{self.base(path)}{manifests.CACHED}/{manifests.PLURAL}",
            lambda found: found["status"].get("resourceCounts") == wanted,
        )


def phase_is(phase: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found.get("status", {}).get("phase") == phase


def condition_is(kind: str) -> Callable[[dict[str, Any]], bool]:
    def check(found: dict[str, Any]) -> bool:
        conditions = found.get("status", {}).get("conditions") or ()
        return any(one["type"] == kind and one["status"] == "True" for one in conditions)

    return check


async def gather(work: Iterable[Any], at_once: int = IN_FLIGHT) -> list[Any]:
    """The results in order; so many run at once. The first error ends the others."""
    gate = asyncio.Semaphore(at_once)

    async def one(awaitable: Any) -> Any:
        async with gate:
            return await awaitable

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(awaitable)) for awaitable in work]
    return [task.result() for task in running]


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """A new server in ``folder``, where ``bench.kubeconfig`` then has a token of an administrator."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens, token = folder / "tokens.csv", secrets.token_urlsafe(24)
    tokens.touch(mode=0o600)
    tokens.write_text(f"{token},bench,bench,system:masters\n")
    with start_server(folder / "root", "--token-auth-file", tokens) as server:
        text = server.kubeconfig.read_text()
        kubeconfig = folder / "bench.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(text.replace("  user:\n", f"  user:\n    token: {token}\n"))
        yield server


@contextlib.asynccontextmanager
async def open_site(kubeconfig: Path, pid: int | None) -> AsyncIterator[Site]:
    """A workspace of its own on the server, deleted when the block is left; without workspaces, the CRD is."""
    target = load_kubeconfig(kubeconfig, pid)
    async with Pool(target, IN_FLIGHT) as pool:
        there = await pool.send(Request("GET", f"/clusters/root{manifests.WORKSPACES}"))
        if there.status not in {200, 404}:
            raise BenchError(f"{kubeconfig}: the server answers {there.status} {there.body[:200].decode()}")
        place = Site(target, kubeconfig, pool, "root" if there.status == 200 else "")
        name = f"bench-{secrets.token_hex(4)}"
        if not place.path:
            url = f"{manifests.CRDS}/{manifests.PLURAL}.{manifests.GROUP}"
        else:
            url = f"/clusters/root{manifests.WORKSPACES}/{name}"
            place = Site(target, kubeconfig, pool, await place.workspace(name))
        try:
            yield place
        finally:
            with contextlib.suppress(BenchError, OSError, TimeoutError):
                await pool.call("DELETE", url)


@dataclass(frozen=True)
class Bench:
    """What a workload is given."""

    site: Site
    baseline: Baseline
    sizes: Sizes
    report: Report
