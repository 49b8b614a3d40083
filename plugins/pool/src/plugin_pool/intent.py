"""`Intent`: what is to become of several entities at once, should that be interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from plugin_pool.entity import Entity
from plugin_pool.lease import Lease
from plugin_pool.records import ReleaseReason


class Intent(NamedTuple):
    """What takes several steps and must be finished where it is interrupted between them.

    Attributes:
        entities: What is concerned.
        service: What becomes of them.
        lease: What ends before; None for nothing.
        reason: Why it ends.
        ended: How many will have ended for that reason then.
    """

    entities: Sequence[Entity]
    service: int
    lease: Lease | None = None
    reason: ReleaseReason = ReleaseReason.COMPLETED
    ended: int = 0
