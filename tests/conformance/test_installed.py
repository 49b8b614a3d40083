"""What must hold for every installed plugin, whoever wrote it; each plugin's own contract test goes deeper."""

import os

import pytest

from framework import Framework, PluginState
from framework.discovery import discover
from framework.plugins import loading

INSTALLED = sorted(discover().manifests)
PLUGINS = os.path.join(os.path.dirname(__file__), "..", "..", "plugins")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_all_of_them_start_together() -> None:
    async with Framework.from_config({"plugins": dict.fromkeys(INSTALLED)}) as host:
        await host.plugins.activate_all()
        others = [one for one in host.plugins.records() if one.state is not PluginState.ACTIVE]
        # a plugin whose requirement was deleted is blocked, and says so; nothing else may keep one from starting
        assert [one for one in others if "which no installed plugin" not in one.reason] == []


@pytest.mark.parametrize("name", INSTALLED)
def test_it_can_be_constructed_without_arguments(name: str) -> None:
    assert loading.load(discover().manifests[name]).metadata.name == name


@pytest.mark.parametrize("name", sorted(os.listdir(PLUGINS)))
def test_its_directory_is_the_template_that_strangers_copy(name: str) -> None:
    folder = os.path.join(PLUGINS, name)
    package = os.path.join(folder, "src", f"plugin_{name}")
    for needed in ("pyproject.toml", "README.md", os.path.join("tests", "test_contract.py")):
        assert os.path.isfile(os.path.join(folder, needed)), needed
    for needed in ("__init__.py", "plugin.py", "plugin.toml", "py.typed"):
        assert os.path.isfile(os.path.join(package, needed)), needed
