"""The conformance suites, applied to this plugin."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from framework import ResourceProvider
from framework.testing import PluginContract, ProviderContract
from plugin_network import NetworkProvider


class Requests:
    @pytest.fixture
    def requests(self) -> Iterator[dict[str, dict[str, Any]]]:
        with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
            yield {"network.tcp": {"host": "127.0.0.1", "port": server.getsockname()[1]}, "network.socket": {}}


class TestContract(Requests, PluginContract):
    subject = "network"


class TestProvider(Requests, ProviderContract):
    @pytest.fixture
    def provider(self) -> ResourceProvider:
        return NetworkProvider()
