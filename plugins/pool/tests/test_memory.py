"""What comes and goes leaves nothing behind in a pool."""

from __future__ import annotations

import pytest

from plugin_pool import ResourcePool


@pytest.fixture
def pool() -> ResourcePool:
    pool = ResourcePool(clock=lambda: 0.0)
    pool.add_resource({"id": "e", "type": "t"})
    return pool


def test_leases_that_end_before_their_time_are_forgotten(pool: ResourcePool) -> None:
    assert pool.allocate_resources("first", {"type": "t"}, ttl=1e6)
    pool.release_resources("first")
    for number in range(10_000):
        assert pool.allocate_resources(str(number), {"type": "t"}, ttl=1e6)
        pool.release_resources(str(number))
    assert len(pool._expiry._heap) < 5000
    pool.close()


def test_a_lease_whose_end_goes_to_and_fro_is_noted_a_few_times_only(pool: ResourcePool) -> None:
    assert pool.allocate_resources("task", {"type": "t"}, ttl=1e6)
    for number in range(10_000):
        assert pool.renew("task", 1e5 + number % 2)
    assert len(pool._expiry._heap) < 5000
    pool.close()


def test_types_that_nobody_has_are_forgotten(pool: ResourcePool) -> None:
    for number in range(10_000):
        assert not pool.allocate_resources("task", {"type": f"t{number}"})
    assert len(pool._index._kinds) == 1


def test_a_type_that_comes_after_it_was_asked_for_is_found(pool: ResourcePool) -> None:
    request = pool.prepare({"type": "later"})
    assert not pool.allocate_resources("task", request)
    for number in range(2):
        pool.add_resource({"id": f"later-{number}", "type": "later", "labels": {"number": str(number)}})
    for round_ in range(3):
        assert pool.allocate_resources("one", request), round_
        assert pool.allocate_resources("two", request), round_
        assert not pool.allocate_resources("three", request), round_
        assert pool.release_resources("one")
        assert pool.release_resources("two")
