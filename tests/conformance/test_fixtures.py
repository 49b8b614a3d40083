"""The fixtures for authors, used as an author uses them: in a test file of their own, by a pytest of its own."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import os
import tempfile
import threading

import pytest

from framework import PluginState
from framework.testing import DummyPlugin, traces

traces.PATIENCE_S = 0.3
pytest_plugins = ["framework.testing.pytest_plugin"]
KEPT = []


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_a_host_runs_the_plugins_that_it_is_given(framework_host, dummy_plugin, leak_check):
    async with framework_host(dummy_plugin, owner="me") as host:
        assert host.plugins.record("dummy").state is PluginState.ACTIVE
        async with host.acquire("dummy.thing"):
            assert [one.owner for one in host.leases()] == ["me"]
    assert dummy_plugin.actions[-1] == "cleanup"


def test_a_host_does_not_read_the_environment(framework_host, monkeypatch):
    monkeypatch.setenv("FRAMEWORK__PLUGINS__SURELY_UNKNOWN__X", "1")
    assert framework_host(plugins={"a": {"b": 1}}).settings.plugins == {"a": {"b": 1}}


def test_directories_are_private(framework_host, private_directories):
    assert framework_host().state_directory("x").startswith(private_directories)
    assert tempfile.gettempdir().startswith(private_directories)


def test_each_dummy_is_new(dummy_plugin):
    assert isinstance(dummy_plugin, DummyPlugin)
    assert dummy_plugin.actions == []


def test_leak_thread(leak_check):
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_leak_descriptor(leak_check):
    KEPT.append(os.open(os.devnull, os.O_RDONLY))


def test_leak_file(leak_check):
    os.close(tempfile.mkstemp()[0])
"""


def test_the_fixtures_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "test_author.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    outcomes = {
        name.partition("::")[2].split()[0]: word
        for word, _, name in (line.partition(" ") for line in done.stdout.splitlines() if "test_author.py::" in line)
    }
    leaks = {name for name, word in outcomes.items() if word == "ERROR"}
    assert leaks == {"test_leak_thread", "test_leak_descriptor", "test_leak_file"}, done.stdout + done.stderr
    assert "FAILED" not in outcomes.values(), done.stdout
    assert len(outcomes) == 7


def test_nothing_of_the_kit_is_loaded_where_nobody_asks(tmp_path: Path) -> None:
    (tmp_path / "test_author.py").write_text("import sys\n\n\ndef test():\n    assert 'framework' not in sys.modules\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-c", "/dev/null", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
