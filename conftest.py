"""What holds for every test of the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from framework.testing import ProviderContract

# a machine that does something else meanwhile is no fault of what is tested
settings.register_profile("framework", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("framework")


@pytest.fixture(scope="session", autouse=True)
def private_directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep state and caches of the tests, and of the programs that they start, out of the user's own."""
    folder = tmp_path_factory.mktemp("home")
    former = {name: os.environ.get(name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")}
    for name in former:
        os.environ[name] = str(folder / name)
    yield
    for name, value in former.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


ProviderContract.exhaustive = True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what is exhaustive to the slow session."""
    for item in items:
        if getattr(item, "originalname", "") == "test_killed_at_each_call_it_leaves_nothing":
            item.add_marker(pytest.mark.slow)
