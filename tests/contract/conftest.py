"""The fixture of every transport's tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.brokers.harness import Harness
from tests.support.brokers.replica import World


@pytest.fixture
async def world(broker: Harness) -> AsyncIterator[World]:
    """Replicas on each broker in turn, or on the one that a module's own fixture `broker` gives."""
    world = World(broker)
    yield world
    for replica in world.replicas:
        replica.gate.set()
    await asyncio.gather(*(replica.transport.stop(2) for replica in world.replicas))
