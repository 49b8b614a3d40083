"""`NetworkCollector`: what goes through the network interfaces of this network namespace, loopback left out."""

from __future__ import annotations

import time
from collections.abc import Callable

from plugin_system.collector import Collector, Measured
from plugin_system.rates import Rate

MIB = 1 << 20
_COUNTERS = {"rx_bytes": 1, "rx_errors": 3, "rx_dropped": 4, "tx_bytes": 9, "tx_errors": 11, "tx_dropped": 12}
"""Columns of /proc/net/dev, after that of the name."""


class NetworkCollector(Collector):
    """Measures all interfaces together. Where this system does not say there is nothing."""

    noun = "network"

    def __init__(self, root: str = "/", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(root, clock)
        self._rates = {"rx": Rate(), "tx": Rate()}

    def _measure(self, measured: Measured) -> None:
        lines = self._files.read_all(f"{self._root}/proc/self/net/dev").splitlines()[2:]
        if not lines:
            return
        now = self._clock()
        columns = [line.split() for line in lines if not line.lstrip().startswith(b"lo:")]
        sums = {name: sum([int(row[column]) for row in columns]) for name, column in _COUNTERS.items()}
        measured.update((f"network_{name}", float(value)) for name, value in sums.items())
        for way, rate in self._rates.items():
            measured[f"network_{way}_mb"] = sums[f"{way}_bytes"] / MIB
            measured[f"network_{way}_bytes_per_second"] = rate.of(sums[f"{way}_bytes"], now)
