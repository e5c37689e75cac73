"""Tests of the runtime live on virtual time: whoever waits waits for nothing but the work of others."""

from shard_fixtures import http, pytest_asyncio_loop_factories, shard

__all__ = ["http", "pytest_asyncio_loop_factories", "shard"]
