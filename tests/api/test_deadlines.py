import asyncio

import pytest
import virtual_time

from kcpcache.api.deadlines import SWEEP_SECONDS, Deadlines


def test_what_takes_too_long_is_cancelled_and_reported_as_a_timeout():
    async def main() -> None:
        deadlines, began = Deadlines(60.0), asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await deadlines.bound(asyncio.Event().wait())
        assert 60.0 <= asyncio.get_running_loop().time() - began <= 60.0 + SWEEP_SECONDS
        assert not asyncio.current_task().cancelling()

    virtual_time.run(main)


def test_what_ends_in_time_is_left_alone_beside_what_does_not():
    async def main() -> None:
        deadlines = Deadlines(60.0)

        async def quick() -> str:
            await asyncio.sleep(30)
            await deadlines.bound(asyncio.sleep(59))
            return "done"

        late = asyncio.create_task(deadlines.bound(asyncio.sleep(3600)))
        assert await quick() == "done"
        with pytest.raises(TimeoutError):
            await late

    virtual_time.run(main)


def test_a_cancellation_by_somebody_else_stays_one():
    async def main() -> None:
        task = asyncio.create_task(Deadlines(60.0).bound(asyncio.Event().wait()))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(main)


def test_a_cancellation_by_somebody_else_at_the_same_moment_wins():
    async def main() -> None:
        deadlines, loop = Deadlines(0.0), asyncio.get_running_loop()
        task = asyncio.create_task(deadlines.bound(asyncio.Event().wait()))
        await asyncio.sleep(0.1)
        deadlines._sweep(loop)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual_time.run(main)


def test_errors_and_results_pass():
    async def main() -> None:
        async def fail() -> None:
            raise KeyError

        with pytest.raises(KeyError):
            await Deadlines(60.0).bound(fail())

    virtual_time.run(main)
