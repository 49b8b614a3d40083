"""`Chaos`: kills worker processes in the middle of their work, on request, to show that this costs nothing."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from typing import Any

import click

from plugin_survey.cataloguing.catalogue import Catalogue
from plugin_survey.inspecting.crew import Worker

DELAY_S = 0.005
"""Most seconds that a batch has been worked on when its worker is killed."""
BATCHES_EACH = 4
"""Batches that there should be for each kill, so that one that comes too late finds another."""
MOST_KILLS = 1000
_CHAOS = re.compile(r"kill=(?P<kills>\d+)")


class Chaos:
    """Kills so many workers, spread over the files that are looked into; no batch loses its worker twice.

    Args:
        kills: How many.
        catalogue: Where each is noted.
    """

    def __init__(self, kills: int, catalogue: Catalogue) -> None:
        self._left = self._kills = kills
        self._catalogue = catalogue
        self._numbers = random.Random()  # noqa: S311 - nothing is to be kept secret
        self._striking = False

    def most(self, total: int) -> int | None:
        """Return how many of so many files a batch may have at most, None for any number."""
        return max(1, total // (self._kills * BATCHES_EACH)) if self._left else None

    def strike(self, worker: Worker, done: float) -> asyncio.Task[None] | None:
        """Perhaps kill a worker that is about to get a batch.

        Args:
            worker: The worker.
            done: Which part of all files is done.

        Returns:
            What kills it, to be cancelled when the batch is done; None when it is spared.
        """
        if not self._left or self._striking or done < (self._kills - self._left) / self._kills:
            return None
        self._striking = True
        return asyncio.create_task(self._kill(worker))

    async def _kill(self, worker: Worker) -> None:
        try:
            await asyncio.sleep(self._numbers.uniform(0, DELAY_S))
            for process in worker.processes():
                process.signal(signal.SIGKILL)
                self._left -= 1
                self._catalogue.note_event("killed", worker.name, f"process {process.pid} was killed by --chaos")
        finally:
            self._striking = False


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
