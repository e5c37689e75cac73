"""A whole shard in process, with the HTTP layer, on virtual time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "runtime"))

from shard_fixtures import http, pytest_asyncio_loop_factories, shard

__all__ = ["http", "pytest_asyncio_loop_factories", "shard"]
