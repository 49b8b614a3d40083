"""`Chaos`: kills worker processes in the middle of their work, on request, to show that this costs nothing."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import click

from plugin_survey.cataloguing.catalogue import Catalogue
from plugin_survey.inspecting.crew import Worker
from plugin_survey.inspecting.inspection import Inspected

DELAY_S = 0.005
"""Most seconds that a batch has been worked on when its worker is killed."""
GRACE_S = 10.0
"""Most seconds that a process waits to be killed, as it is when the system refuses."""
BATCHES_EACH = 4
"""Batches that there should be for each kill, so that most are spared."""
MOST_KILLS = 1000
_CHAOS = re.compile(r"kill=(?P<kills>\d+)")


class Chaos:
    """Kills so many workers, spread over the files that are looked into; each batch loses its worker once at most.

    There are as many kills as were asked for unless there are fewer files than that.

    Args:
        kills: How many.
        total: How many files there are to be looked into.
        catalogue: Where each is noted.
    """

    def __init__(self, kills: int, total: int, catalogue: Catalogue) -> None:
        self._kills = kills
        self._total = total
        self._catalogue = catalogue
        self._numbers = random.Random()  # noqa: S311 - nothing is to be kept secret
        self._struck = 0
        self._given = 0

    @property
    def most(self) -> int:
        """How many files a batch may have at most, so that there are more batches than kills."""
        return max(1, self._total // (self._kills * BATCHES_EACH))

    def victim(self, worker: Worker, files: int) -> Any:
        """Return the process of a worker if that is to be killed while it has its next batch, else None.

        Args:
            worker: The worker.
            files: How many the batch has.
        """
        # by what was given and not by what is done: of a few files all are given before the first is done
        due = self._struck < self._kills and self._given * self._kills >= self._struck * self._total
        self._given += files
        processes = worker.processes() if due else []
        self._struck += len(processes[:1])
        return processes[0] if processes else None

    async def kill(self, process: Any, name: str) -> None:
        """Kill the process of a worker of that name, a moment later."""
        await asyncio.sleep(self._numbers.uniform(0, DELAY_S))
        process.signal(signal.SIGKILL)
        self._catalogue.note_event("killed", name, f"process {process.pid} was killed by --chaos")


def doomed(pid: int, look: Callable[..., Inspected], *batch: Any) -> Inspected:
    """Look into a batch, and wait until this process is killed, if it is the one; the next one just looks into it."""
    if os.getpid() == pid:
        try:
            look(*batch)
        finally:
            time.sleep(GRACE_S)
    return look(*batch)


class Kills(click.ParamType[int]):
    """What `--chaos` takes: `kill=3`."""

    name = "chaos"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return how many workers are to be killed."""
        if isinstance(value, int):
            return value
        found = _CHAOS.fullmatch(value)
        kills = int(found["kills"]) if found else 0
        if not 1 <= kills <= MOST_KILLS:
            self.fail(f"{value!r} is none; write it as kill=3, from 1 to {MOST_KILLS}", param, ctx)
        return kills
