"""Long computations beside the event loop, on one thread that gives way: an apply of many fields, a large schema.

Python runs one thread at a time. While something is computed here, the interpreter is told to hand over to whoever else
wants to run after microseconds, so that a short request waits hardly longer than for a slice of a list. Nothing that
only the event loop may touch may be used by what is computed: no cache, no view, no queue.
"""

import asyncio
import contextvars
from collections import OrderedDict, deque
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from kcpcache.registry.handover import handover
from kcpcache.registry.large_values import LargeValues, uncollected, usually_collected
from kcpcache.registry.pauses import pausing

LIGHT_BYTES: Final = 8 * 1024
"""What is computed from less than this much JSON is done in a millisecond or two, and not worth the way to a thread."""

_T = TypeVar("_T")
_Key = TypeVar("_Key")
_Arguments = TypeVarTuple("_Arguments")
_Ticket: TypeAlias = "asyncio.Future[None]"

_IDLE_SECONDS: Final = 1.0
"""After how long without anything to compute garbage is looked for as usual again."""

made: ContextVar[LargeValues | None] = ContextVar("made", default=None)
"""Of a request: what has been computed for it here, so that it can be let go of here, too."""


async def computed(weight: int, work: Callable[[*_Arguments], _T], *arguments: *_Arguments) -> _T:
    """``work(*arguments)``: at once where ``weight`` (bytes of JSON that it goes through) is small, else on the thread.

    Raises what it raises. Cancelled, it is still computed to its end, for nobody.
    """
    if weight <= LIGHT_BYTES:
        return work(*arguments)
    loop = asyncio.get_running_loop()
    thread = _threads.get(loop)
    if thread is None:
        thread = _threads[loop] = _Thread()
    if made.get() is None and pausing.get().tenant is not None:
        made.set(LargeValues())
    found = await thread.run(work, *arguments)
    keep(found)
    return found


async def computed_once(
    kept: MutableMapping[_Key, _T], key: _Key, weight: int, work: Callable[[*_Arguments], _T], *arguments: *_Arguments
) -> _T:
    """``kept[key]``, which becomes what ``computed`` gives where it is not there: once, whoever asks meanwhile.

    Operations of ``kept`` must be single steps of the interpreter, as those of a dict with strings for keys are.
    """
    found = kept.get(key)
    if found is not None:
        return found

    def remember() -> _T:
        known = kept.get(key)  # one thing is computed at a time: others may have waited for the same
        if known is None:
            known = kept[key] = work(*arguments)
        return known

    return await computed(weight, remember)


def keep(value: object) -> None:
    """Note something large, beside what ``computed`` gives, that has been made for the request."""
    values = made.get()
    if values is not None:
        values.add(value)


def let_go(values: LargeValues) -> None:
    """Delete what nobody uses any more, a little at a time and on the thread. The request is over."""
    thread = _threads.get(asyncio.get_running_loop())
    if thread is not None:
        thread.let_go(values)


class _Thread:
    """Computes one thing at a time; those who ask take turns, however many things each of them asks for."""

    def __init__(self) -> None:
        self._busy = False
        self._unused: deque[LargeValues] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._lines: OrderedDict[object, deque[_Ticket]] = OrderedDict()

    async def run(self, work: Callable[[*_Arguments], _T], *arguments: *_Arguments) -> _T:
        """See ``computed``."""
        await self._turn(pausing.get().tenant)
        context = contextvars.copy_context()
        try:
            job = asyncio.get_running_loop().run_in_executor(None, context.run, self._computing(work), *arguments)
        except BaseException:
            self._next()
            raise
        job.add_done_callback(self._done)
        try:
            return await asyncio.shield(job)
        finally:
            del job  # an error in it leads back here: both would be left to the collector

    def let_go(self, values: LargeValues) -> None:
        """See the function of that name. While the thread computes, that is done after what it computes."""
        self._unused.append(values)
        if not self._busy:
            self._begin()
            self._next()

    def _computing(self, work: Callable[[*_Arguments], _T]) -> Callable[[*_Arguments], _T]:
        def compute(*arguments: *_Arguments) -> _T:
            with uncollected():
                try:
                    return work(*arguments)
                finally:
                    while self._unused:
                        self._unused.popleft().delete()

        return compute

    def _begin(self) -> None:
        self._busy = True
        handover.begin()

    async def _turn(self, tenant: object) -> None:
        if not self._busy:
            self._begin()
            return
        ticket = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(ticket)
        try:
            await ticket
        except BaseException:
            if ticket.done() and not ticket.cancelled():
                self._next()  # its turn came at the moment of its end
            raise

    def _done(self, job: "asyncio.Future[Any]") -> None:
        if not job.cancelled():
            job.exception()  # where nobody waits any more, nobody else would look at it
        self._next()

    def _next(self) -> None:
        while self._lines:
            tenant, line = self._lines.popitem(last=False)
            ticket = line.popleft()
            if line:
                self._lines[tenant] = line
            if not ticket.done():
                ticket.set_result(None)
                return
        if self._unused and self._delete():
            return
        self._busy = False
        handover.end()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._rest)

    def _delete(self) -> bool:
        """Whether what was let go of, and came too late for the last computation, is deleted by one of its own."""
        try:
            job = asyncio.get_running_loop().run_in_executor(None, self._computing(_nothing))
        except RuntimeError:  # there are no threads any more: the server is at its end
            self._unused.clear()
            return False
        job.add_done_callback(self._done)
        return True

    def _rest(self) -> None:
        self._timer = None
        if not self._busy:
            usually_collected()


def _nothing() -> None:
    """There may still be something to let go of."""


_threads: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Thread]" = WeakKeyDictionary()
