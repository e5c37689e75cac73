"""Shares and turns. A turn of the event loop is ``await turn()``; nothing here waits for time to pass."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from kcpcache.api import fairness
from kcpcache.api.fairness import EXEMPT, Fairness, Limits
from kcpcache.auth.user import CLUSTER_NAME_EXTRA, User
from kcpcache.meta.errors import TooManyRequestsError

ALICE, BOB, CAROL = User("alice"), User("bob"), User("carol")


async def turn() -> None:
    """One round of the event loop, and the calls that it makes due."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def together() -> Fairness:
    """Where more than one user has been seen."""
    found = Fairness(Limits())
    for user in (ALICE, BOB):
        seat = found.enter(user, f"of-{user.name}")
        assert seat is not None
        seat.leave()
    return found


def waiting(served: Fairness, user: User, place: str, log: list[str]) -> asyncio.Task[None]:
    async def wait() -> None:
        seat = await served.wait(user, place)
        log.append(user.name)
        seat.leave()

    return asyncio.create_task(wait())


async def test_it_tells_whether_several_are_served():
    assert together().together
    served = Fairness(Limits())
    assert all(served.enter(ALICE, "a") for _ in range(3))
    assert not served.together


async def test_who_is_alone_waits_for_no_turn():
    served = Fairness(Limits(in_flight=100, per_user=100, per_workspace=100))
    assert all(served.enter(ALICE, "a") for _ in range(100))


async def test_of_several_users_each_begins_one_request_in_a_turn():
    served = together()
    await turn()
    assert served.enter(ALICE, "a")
    assert served.enter(ALICE, "a") is None
    assert served.enter(BOB, "b")
    await turn()
    assert served.enter(ALICE, "a")


async def test_what_is_answered_at_once_takes_its_user_s_turn_like_any_request():
    served = together()
    await turn()
    seat = served.enter(ALICE, "a")
    assert seat is not None
    seat.leave()
    assert not seat.once_more()
    await turn()
    assert seat.once_more()
    assert served.enter(ALICE, "a") is None
    assert EXEMPT.once_more()


async def test_many_users_of_one_workspace_have_one_turn_between_them():
    served = together()
    await turn()
    assert served.enter(User("one"), "a")
    assert served.enter(User("two"), "a") is None
    assert served.enter(BOB, "b")


async def test_the_line_is_served_first_come_first_served_and_the_users_of_a_workspace_in_turn():
    served, log = together(), []
    tasks = [waiting(served, user, "a", log) for user in (ALICE, ALICE, ALICE, BOB, CAROL, BOB)]
    await asyncio.gather(*tasks)
    assert log == ["alice", "bob", "carol", "alice", "bob", "alice"]


async def test_who_comes_later_does_not_overtake_his_own_line():
    served, log = together(), []
    await turn()
    task = waiting(served, ALICE, "a", log)
    await asyncio.sleep(0)  # it stands in line
    assert served.enter(ALICE, "a") is None
    await task


async def test_a_quiet_workspace_is_served_in_the_next_turn_however_long_the_line_of_another():
    served, log = together(), []
    noisy = [waiting(served, User(f"noisy-{number % 5}"), "noisy", log) for number in range(200)]
    await turn()
    quiet = waiting(served, BOB, "quiet", log)
    await asyncio.gather(*noisy, quiet)
    assert log.index("bob") < 6


async def test_long_work_gives_way_between_its_slices_and_what_one_user_has_of_it_takes_turns():
    served, log = together(), []

    async def work(user: User, name: str) -> None:
        seat = served.enter(user, f"of-{user.name}") or await served.wait(user, f"of-{user.name}")
        for _ in range(3):
            log.append(name)
            await seat.pause()
        seat.leave()

    await turn()
    async with asyncio.TaskGroup() as tasks:
        for user, name in ((ALICE, "a1"), (ALICE, "a2"), (ALICE, "a3"), (BOB, "b")):
            tasks.create_task(work(user, name))
    assert log[:6].count("b") == 3
    assert served._running == 0


async def test_what_was_woken_together_goes_on_one_by_one_where_others_want_to_be_served():
    served, log = together(), []
    await turn()
    seat = served.enter(ALICE, "a")
    assert seat is not None

    async def go_on() -> None:
        await seat.turn()
        log.append("alice")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(go_on())
        await turn()
        assert len(log) == 1
        quiet = served.enter(BOB, "b") or await served.wait(BOB, "b")
        quiet.leave()
        assert len(log) <= 2
    assert log == ["alice"] * 3


async def test_what_was_woken_goes_on_at_once_where_nobody_else_is():
    served = Fairness(Limits())
    seat = served.enter(ALICE, "a")
    assert seat is not None
    going = seat.turn()
    with pytest.raises(StopIteration):
        going.send(None)


@pytest.mark.parametrize(
    ("limits", "users", "places"),
    [
        (Limits(in_flight=3), ["a", "b", "c", "a"], "wxyw"),
        (Limits(per_user=3), ["a", "a", "a", "a"], "wxyz"),
        (Limits(per_workspace=3), ["a", "b", "c", "d"], "wwww"),
    ],
    ids=["in all", "of a user", "in a workspace"],
)
async def test_beyond_a_share_the_next_request_waits_until_one_is_done(limits: Limits, users: list[str], places: str):
    served, seats = Fairness(limits), []
    for name, place in zip(users[:3], places[:3], strict=True):
        seats.append(served.enter(User(name), place))
        await turn()
    assert all(seats)
    assert served.enter(User(users[3]), places[3]) is None
    fourth = asyncio.create_task(served.wait(User(users[3]), places[3]))
    await turn()
    assert not fourth.done()
    seats[0].leave()
    seats[0].leave()  # twice is once
    (await fourth).leave()
    assert served.enter(User("z"), "z")


async def test_who_has_nothing_in_flight_is_let_in_however_much_of_others_there_is():
    served = Fairness(Limits(in_flight=2))
    for place in "xy":
        assert served.enter(ALICE, place)
    assert served.enter(ALICE, "z") is None
    assert served.enter(BOB, "w")


async def test_a_line_that_is_too_long_is_refused_with_retry_after(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairness, "MOST_QUEUED", 2)
    served = Fairness(Limits(per_user=1))
    seat = served.enter(ALICE, "a")
    tasks = [asyncio.create_task(served.wait(ALICE, "a")) for _ in range(2)]
    await turn()
    with pytest.raises(TooManyRequestsError) as refused:
        await served.wait(ALICE, "a")
    assert refused.value.headers() == {"Retry-After": "1"}
    assert seat is not None
    seat.leave()
    (await tasks[0]).leave()
    (await tasks[1]).leave()


async def test_a_wait_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairness, "QUEUE_SECONDS", 0.0)
    served = Fairness(Limits(per_user=1))
    seat = served.enter(ALICE, "a")
    with pytest.raises(TooManyRequestsError):
        await served.wait(ALICE, "a")
    assert seat is not None
    seat.leave()
    assert served.enter(ALICE, "a")


@pytest.mark.parametrize("granted", [False, True])
async def test_who_goes_away_while_he_waits_leaves_nothing_behind(granted: bool):
    served = Fairness(Limits(per_user=1))
    seat = served.enter(ALICE, "a")
    gone = asyncio.create_task(served.wait(ALICE, "a"))
    await turn()
    assert seat is not None
    if granted:
        seat.leave()
        await asyncio.sleep(0)  # its turn has come, and it does not know it yet
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    seat.leave()
    again = served.enter(ALICE, "a")
    assert again is not None
    assert served.enter(ALICE, "b") is None


async def test_one_user_by_different_credentials_is_one_and_accounts_of_two_workspaces_are_two():
    served = Fairness(Limits(per_user=1))
    assert served.enter(User("alice", groups=("a",)), "a")
    assert served.enter(User("alice", groups=("b",)), "a") is None
    for cluster in ("one", "two"):
        await turn()
        assert served.enter(User("system:serviceaccount:n:s", extra={CLUSTER_NAME_EXTRA: (cluster,)}), cluster), cluster


async def test_watches_are_counted_by_user_and_masters_are_exempt():
    served = Fairness(Limits(watches_per_user=2))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            seat = served.enter(ALICE, "a")
            assert seat is not None
            stack.enter_context(seat.watching())
            seat.leave()
        seat = served.enter(ALICE, "a")
        assert seat is not None
        with pytest.raises(TooManyRequestsError, match="2 watches open"):
            stack.enter_context(seat.watching())
        await turn()
        other = served.enter(BOB, "b")
        assert other is not None
        stack.enter_context(other.watching())
        stack.enter_context(EXEMPT.watching())
    with seat.watching():
        pass


async def test_names_that_nobody_uses_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairness, "_REMEMBERED", 10)
    served = Fairness(Limits())
    kept = served.enter(ALICE, "kept")
    for number in range(500):
        seat = served.enter(User(f"user-{number}"), f"place-{number}")
        assert seat is not None
        seat.leave()
        await turn()
    assert len(served._users) < 50
    assert len(served._places) < 50
    assert len(served._by_fingerprint) < 50
    assert kept is not None
    kept.leave()
    assert served._running == 0


# -- over HTTP


CM = "/api/v1/namespaces/default/configmaps"


async def test_over_the_limit_the_answer_is_429_with_retry_after_and_others_are_served(world, monkeypatch):
    monkeypatch.setattr(fairness, "MOST_QUEUED", 0)
    served = world.app.kubernetes.fairness = Fairness(Limits(per_user=1))
    seat = served.enter(ALICE, "root")
    refused = await world.client.get(CM, headers={"x-user": "alice"})
    assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["details"]["retryAfterSeconds"] == 1
    for path, user in ((CM, "bob"), ("/livez", "alice"), ("/clusters/root/livez", "alice"), ("/version", "alice")):
        await turn()
        assert (await world.client.get(path, headers={"x-user": user})).status_code == 200
    assert seat is not None
    seat.leave()
    await turn()
    assert (await world.client.get(CM, headers={"x-user": "alice"})).status_code == 200
    assert served._running == 0


async def test_what_a_virtual_workspace_finds_out_about_its_caller_waits_for_the_turn_too(world, monkeypatch):
    monkeypatch.setattr(fairness, "MOST_QUEUED", 0)
    served = world.app.kubernetes.fairness = Fairness(Limits(per_user=1))
    seat = served.enter(ALICE, "root")
    path = "/services/apiexport/root/x/clusters/*/api/v1/configmaps"
    assert (await world.client.get(path, headers={"x-user": "alice"})).status_code == 429
    assert seat is not None
    seat.leave()
    await turn()
    assert (await world.client.get(path, headers={"x-user": "alice"})).status_code == 404


async def test_a_request_that_waits_for_its_turn_is_answered_in_the_end(world):
    world.app.kubernetes.fairness = together()
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(world.client.get(CM, headers={"x-user": user})) for user in ["alice", "bob"] * 20]
    assert {task.result().status_code for task in asked} == {200}
    assert world.app.kubernetes.fairness._running == 0


async def test_a_watch_that_has_begun_is_in_no_request_s_way_and_one_too_many_is_refused(world, server):
    served = world.app.kubernetes.fairness = Fairness(Limits(per_user=1, watches_per_user=1))
    async with httpx.AsyncClient(base_url=server, headers={"x-user": "alice"}, trust_env=False) as client:
        async with client.stream("GET", f"{CM}?watch=1") as watch:
            assert watch.status_code == 200
            assert served._running == 0
            assert (await client.get(CM)).status_code == 200
            refused = await client.get(f"{CM}?watch=1")
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        async with asyncio.timeout(10):
            while len(world.app.kubernetes.open_watches):  # noqa: ASYNC110 -- the disconnect has no event of its own
                await asyncio.sleep(0)
        async with client.stream("GET", f"{CM}?watch=1") as watch:
            assert watch.status_code == 200
