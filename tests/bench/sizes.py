"""How much each workload does: in full, for a quick round, and just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts and seconds. Every loop of every workload is bounded by one of them."""

    rounds: int = 5
    seconds: float = 5.0
    connections: int = 64
    starts: int = 5
    restart_objects: int = 100_000
    list_objects: int = 10_000
    lists_at_once: int = 4
    create_existing: int = 100_000
    create_objects: int = 10_000
    patch_objects: int = 1_000
    patch_controllers: int = 8
    watches: tuple[tuple[int, int], ...] = ((1_000, 100), (5_000, 100), (10_000, 10))
    """Pairs of (watchers, writes per second)."""
    watch_seconds: float = 10.0
    lag_rates: tuple[int, ...] = (100, 1_000)
    lag_seconds: float = 10.0
    lag_consumers: int = 1_000
    consumers: int = 1_000
    consumer_objects: int = 1_000
    workspaces: int = 1_000
    cached_objects: int = 100_000
    turns: int = 5
    turn_seconds: float = 1.0
    """Of noise, and of the quiet before and after each turn."""
    scale: tuple[int, int, int] = (100, 100, 100)
    workload_seconds: float = 400.0


FULL = Sizes()
QUICK = Sizes(
    rounds=3,
    seconds=1.0,
    starts=2,
    restart_objects=4_000,
    list_objects=4_000,
    create_existing=4_000,
    create_objects=1_000,
    watches=((100, 100), (200, 100), (400, 25)),
    watch_seconds=2.0,
    lag_seconds=2.0,
    lag_consumers=25,
    consumers=40,
    consumer_objects=200,
    workspaces=100,
    cached_objects=4_000,
    turn_seconds=0.6,
    scale=(5, 5, 20),
    workload_seconds=90.0,
)
TINY = Sizes(
    rounds=2,
    seconds=0.2,
    connections=8,
    starts=1,
    restart_objects=40,
    list_objects=200,
    create_existing=40,
    create_objects=80,
    patch_objects=40,
    watches=((5, 20), (10, 20)),
    watch_seconds=0.5,
    lag_rates=(20, 50),
    lag_seconds=0.5,
    lag_consumers=4,
    consumers=8,
    consumer_objects=20,
    workspaces=8,
    cached_objects=80,
    turns=2,
    turn_seconds=0.2,
    scale=(2, 4, 5),
    workload_seconds=60.0,
)


def doubling(largest: int) -> list[int]:
    """A quarter, a half and the whole: the points of a growth curve."""
    return sorted({max(1, largest // 4), max(1, largest // 2), largest})
