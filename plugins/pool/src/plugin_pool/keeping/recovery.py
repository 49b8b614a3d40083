"""`Recovery`: reads what was kept of a pool, and is strict about it.

The newest snapshot and the journals from its number on, one after the other, say what there was. A last record that a
kill tore is dropped with a note. Anything else that is not as it was written is an error, and the files stay as they
are; `salvage` keeps what is provable, puts damaged files aside, and says what was lost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from plugin_pool.errors import StateError
from plugin_pool.keeping.directory import StateDirectory
from plugin_pool.keeping.framing import Damage, Scan, parsed, scan, scan_past
from plugin_pool.keeping.state import VERSION, ContradictionError, State

_WAYS = (
    'Open it with recover="salvage" to keep what can be proved and have the file put aside, or restore the directory'
    " from a copy."
)


class Recovery:
    """What was kept in a directory.

    Args:
        directory: The open directory.
        salvage: True to go on where a file is damaged.

    Attributes:
        state: What there was.
        first: The number of the snapshot.
        generation: The number of the last journal; 0 where there is nothing yet.
        end: Where its last whole record ends.
        aside: Files that are damaged.
        superfluous: Files that must not be taken into account.
        notes: What was dropped, in sentences.

    Raises:
        StateError: A file is damaged, missing, of another version, or none of a pool.
    """

    def __init__(self, directory: StateDirectory, *, salvage: bool = False) -> None:
        self._directory = directory
        self._salvage = salvage
        self.state = State()
        self.first = self.generation = 0
        self.end = 0
        self.aside: list[str] = []
        self.superfluous: list[str] = []
        self.notes: list[str] = []
        self.bytes = 0
        """How long the journals are that were read, and the snapshot."""
        self.snapshot_bytes = 0
        self._read()

    @property
    def usable(self) -> bool:
        """True where the last journal can be gone on with."""
        return self.generation > 0 and not self.aside

    def _read(self) -> None:
        snapshots, journals = self._directory.generations("snapshot"), self._directory.generations("journal")
        if not snapshots and all(self._is_empty(one) for one in journals):
            self.superfluous = [self._directory.file("journal", one) for one in journals]
            return
        self.first = first = snapshots[-1] if snapshots else 0
        if snapshots:
            self._read_snapshot(first)
        else:
            self._fail("snapshot", journals[0], "is missing, though there is a journal")
        following = [one for one in journals if one >= first]
        for place, number in enumerate(following, first or journals[0]):
            if number != place and not self._is_fresh(number):  # those that were revoked leave numbers out
                self._fail("journal", place, "is missing, though there are later ones")
            if not self._read_journal(number):
                later = [one for one in following if one > self.generation]
                self.superfluous = [self._directory.file("journal", one) for one in later]
                break
        if not self.state.closed and self.state.durability == "none":
            self.notes.append("The pool was not closed, and kept with durability none: what happened last is lost.")
        if not following:
            self._fail("journal", first, "is missing, though there is a snapshot")

    def _is_empty(self, number: int) -> bool:
        """Return whether a journal was begun, and nothing ever happened."""
        records = scan_past(self._bytes(self._directory.file("journal", number)))[0]
        begun = len(records) == 2 and [one[:10] for one in records] == [b'["journal"', b'["session"']
        return begun and records[0].endswith(b",true]")  # else a snapshot was there, and is lost

    def _is_fresh(self, number: int) -> bool:
        """Return whether a journal is good only with a snapshot of its number."""
        payloads = scan(self._bytes(self._directory.file("journal", number))).payloads
        return bool(payloads) and payloads[0].startswith(b'["journal"') and payloads[0].endswith(b",true]")

    def _read_snapshot(self, number: int) -> None:
        path = self._directory.file("snapshot", number)
        raw = self._bytes(path)
        self.snapshot_bytes = len(raw)
        found = scan(raw)
        records = self._records(path, "snapshot", number, found)
        if found.damage is not None:
            records = self._past(path, raw, found.damage)
        elif not records or records[-1] != ["complete", len(records) - 1]:
            self._damaged(path, found.end, "ends too early")
        self._apply(path, records)

    def _read_journal(self, number: int) -> bool:
        """Take a journal into account; False where nothing after `generation` must be."""
        path = self._directory.file("journal", number)
        raw = self._bytes(path)
        found = scan(raw)
        records = self._records(path, "journal", number, found)
        fresh = bool(records) and records[0][0] == "journal" and len(records[0]) > 3 and records[0][3]
        if fresh and number != (self._directory.generations("snapshot") or [0])[-1]:
            self.notes.append(f"{path}: not taken into account, because its snapshot was never finished.")
            return False
        self.generation, self.end = number, found.end
        self.bytes += found.end
        damage = found.damage
        if damage is not None and not self._tolerated(path, damage, records):
            records = self._past(path, raw, damage)
        self._apply(path, records)
        return damage is None or self._salvage or damage.torn

    def _tolerated(self, path: str, damage: Damage, records: Sequence[list[Any]]) -> bool:
        """Note what a kill or a loss of power did to the end of a journal; False where it was something else."""
        last = self.generation == self._directory.generations("journal")[-1]
        if damage.torn and last:
            self.notes.append(f"{path}: a torn record of {damage.length} bytes at {damage.offset} was dropped.")
            return True
        sessions = State()
        for one in records:
            if one[0] == "session":
                sessions.apply(one)
        if not damage.hole or sessions.session is None or sessions.session.same_boot:
            return False
        self.notes.append(
            f"{path}: the machine stopped before everything was on the disk; what was at byte {damage.offset} and later"
            f" was dropped, {damage.whole_after} whole records among it."
        )
        return True

    def _records(self, path: str, kind: str, number: int, found: Scan) -> list[list[Any]]:
        try:
            records = parsed(found.payloads)
        except ValueError as error:
            self._damaged(path, 0, f"contains what no pool writes ({error})")
            return []
        head = records[0] if records else None
        if head is None or head[0] != kind or len(head) < 4:
            self._damaged(path, 0, f"is no {kind} of a pool, or its beginning is damaged")
        elif head[1] != VERSION:
            raise StateError(
                f"The file {path!r} is of version {head[1]!r:.20}; this program reads version {VERSION}.",
                "Open it with the program that wrote it, or a later one.",
                path=path,
            )
        elif head[2] != number:
            self._damaged(path, 0, f"says that its number is {head[2]!r:.20}")
        return records

    def _past(self, path: str, raw: bytes, damage: Damage) -> list[list[Any]]:
        """Return all records that are whole, where that is allowed.

        Raises:
            StateError: It is not.
        """
        payloads, lost = scan_past(raw)
        self._damaged(
            path,
            damage.offset,
            f"is damaged: {damage.length} bytes are not as they were written, and {damage.whole_after} whole records"
            " follow",
            f"{lost} bytes are lost",
        )
        try:
            return parsed(payloads)
        except ValueError:
            return []

    def _apply(self, path: str, records: Sequence[list[Any]]) -> None:
        apply = self.state.apply
        for number, one in enumerate(records):
            try:
                apply(one)
            except ContradictionError as error:
                self._damaged(path, 0, f"contradicts itself: {error} (record {number + 1})")
                self._settle(one)

    def _settle(self, record: list[Any]) -> None:
        """Take the later one of two leases for the one that is held, because it was given after the other ended."""
        if record[0] not in ("lent", "lease") or len(record) < 5:
            return
        there = [one for one in record[4] if one in self.state.where]
        ended = self.state.end_lease_of(there)
        if ended:
            self.notes.append(
                f"The lease of {', '.join(map(repr, ended))} is lost: others were given later what it had."
            )
        try:
            self.state.apply([*record[:4], there, *record[5:]])
        except ContradictionError as error:
            self.notes.append(f"A record is lost: {error}.")

    def _bytes(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise StateError(
                f"The file {path!r} of a pool cannot be read: {(error.strerror or str(error)).lower()}.",
                "See to it that it can be read, or restore the directory from a copy.",
                path=path,
            ) from error

    def _fail(self, kind: str, number: int, what: str) -> None:
        self._damaged(self._directory.file(kind, number), 0, what)

    def _damaged(self, path: str, offset: int, what: str, lost: str = "") -> None:
        """Note that a file is damaged.

        Raises:
            StateError: Nothing is to be salvaged.
        """
        if not self._salvage:
            raise StateError(f"The file {path!r} of a pool {what}, at byte {offset}.", _WAYS, path=path, offset=offset)
        self.notes.append(f"{path}: {what}, at byte {offset}{'; ' if lost else ''}{lost}.")
        if path not in self.aside and os.path.lexists(path):
            self.aside.append(path)
