"""Fixtures for tests of plugins and of applications: `pytest_plugins = ["framework.testing.pytest_plugin"]`.

It is not loaded by itself, so that installing the kernel changes nobody's test runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from framework.host import Framework
from framework.plugins import Plugin
from framework.settings import Settings
from framework.testing.dummy import DummyPlugin
from framework.testing.surroundings import private_folders
from framework.testing.traces import Traces

HostFactory = Callable[..., Framework]


@pytest.fixture
def private_directories(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The path of a folder that holds state, cache and temporary files of this test, and is removed after it."""
    yield from private_folders(request, monkeypatch)


@pytest.fixture
def framework_host(private_directories: str) -> HostFactory:
    """A function that makes a host: `framework_host(plugin, …, plugins={"file": {…}}, owner="…")`.

    Plugin objects are arguments; `plugins` are the sections of installed ones. Environment and configuration files are
    not read, and state, cache and temporary files go to `private_directories`.
    """

    def make(*objects: Plugin, plugins: Mapping[str, Any] | None = None, owner: str = "") -> Framework:
        settings = Settings.load({"plugins": dict(plugins or {})}, environ={})
        return Framework(settings, plugins=objects, owner=owner)

    return make


@pytest.fixture
def dummy_plugin() -> DummyPlugin:
    """A new reference plugin, which implements every hook and records what was done to it."""
    return DummyPlugin()


@pytest.fixture
def leak_check(private_directories: str) -> Iterator[Traces]:
    """Fails a test that leaves a thread, descriptor, child, temporary file, segment or control group behind."""
    before = Traces.now()
    yield before
    left = before.left()
    if left:
        pytest.fail(f"the test left {left}", pytrace=False)
