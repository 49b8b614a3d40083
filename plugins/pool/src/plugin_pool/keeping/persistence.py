"""`Persistence`: how a pool is kept on disk, as people and programs ask for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Durability(enum.StrEnum):
    """What may be lost of a kept pool."""

    NONE = "none"
    """Everything since it was opened, unless it is closed."""
    BUFFERED = "buffered"
    """Nothing when the process dies, however it does; what the system had not written yet when the machine does."""
    FSYNC = "fsync"
    """Nothing that a caller was given."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a pool is kept.

    Attributes:
        path: The directory.
        durability: What may be lost.
        degraded: Why nothing is written until the next snapshot; empty while all is well.
        records: Records in the journal that is being written, all of them since the last snapshot.
        journal_bytes: How long the journals are that follow the snapshot.
        snapshot_bytes: How long the last snapshot is; 0 where there is none yet.
        notes: What was found to be amiss when it was opened, in sentences.
    """

    path: str
    durability: Durability
    degraded: str
    records: int
    journal_bytes: int
    snapshot_bytes: int
    notes: tuple[str, ...] = ()
