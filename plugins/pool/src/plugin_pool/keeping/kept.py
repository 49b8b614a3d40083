"""`KeptPool`: a pool that is kept in a directory, over restarts and crashes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from framework.errors import ResourceUnavailableError
from plugin_pool.garbage import no_collections
from plugin_pool.keeping.asking import Ask, asked
from plugin_pool.keeping.directory import StateDirectory
from plugin_pool.keeping.keeper import Keeper, said
from plugin_pool.keeping.loading import load
from plugin_pool.keeping.persistence import Durability, Persistence
from plugin_pool.keeping.recovery import Recovery
from plugin_pool.keeping.session import Session
from plugin_pool.lease import Lease
from plugin_pool.pool import STATUS, ResourcePool
from plugin_pool.records import ReleaseReason, ResourceInstance, TaskResourceAllocation

_STEP: Final = 1 << 32
"""Where nobody knows which epochs were given out, so many are skipped; no process gives out more."""


class KeptPool(ResourcePool):
    """A pool that is kept in a directory. `ResourcePool.open` makes it; as a context manager it closes itself."""

    _keeper: Keeper
    _asker: Ask | None = None
    _within = 0.0
    _grace: float | None = None

    def keep(self, directory: StateDirectory, durability: Durability, *, salvage: bool) -> None:
        """Take over what a directory has, and be kept there from now on.

        Raises:
            StateError: What was kept cannot be read.
            ResourceUnavailableError: The directory cannot be written.
        """
        self._sweeping = threading.Lock()
        with no_collections():
            found = Recovery(directory, salvage=salvage)
            state = found.state
            first = state.epoch if state.closed else (state.epoch // _STEP + 1) * _STEP
            self._stock.restart(first)
            session = Session.this(state.session)
            leases = load(self, self._stock, state, session, self._clock())
        try:
            self._keeper = Keeper(
                directory, durability, self._stock, self._lock, self._change, self._clock, session, found
            )
        except OSError as error:
            raise ResourceUnavailableError(
                f"The pool in {directory.path!r} cannot be written: {said(error)}.",
                "Make room there, and see to it that you may write to its files.",
                resource=directory.path,
            ) from error
        if durability is not Durability.NONE:
            self.watch(self._keeper)
        if state.session is not None and session.offset != state.session.offset:
            for one in leases:
                if one.expires is not None:  # what was written of it was about another clock
                    self._keeper.limited(one)

    def ask_owners(self, ask: Ask | None, grace: float | None, within: float) -> None:
        """Ask whose the leases are that were found, and let those end whose time is over.

        Args:
            ask: Returns True for a lease that is to be kept, False for one to release, None where it does not know.
            grace: Seconds for those without a time to live that nobody knows and whose process is dead; they are asked
                for once more when these are over. None to keep them.
            within: Seconds that all answers together may take.
        """
        self._asker, self._grace, self._within = ask, grace, within
        with self._lock, self._change:
            leases = list(self._stock.leases.values())
        answers = self._answers(leases)
        inherited = self._keeper.inherited
        alive = {one: one.alive for one in set(inherited.values())}
        with self._lock, self._change:
            for lease, answer in zip(leases, answers, strict=True):
                owner = inherited.get(lease.epoch)
                self._settle_owner(lease, answer, orphan=owner is not None and not alive[owner])
                self._expiry.note(lease)

    def _answers(self, leases: Sequence[Lease]) -> list[bool | None]:
        if self._asker is None or not leases:
            return [None] * len(leases)
        return asked(self._asker, [_allocation(one) for one in leases], self._within)

    def _settle_owner(self, lease: Lease, answer: bool | None, *, orphan: bool) -> None:
        if answer is False:
            self._release(lease, ReleaseReason.CANCELLED)
        elif answer is True:
            if lease.expires is not None and lease.expires <= self._clock():
                self._limit(lease, lease.ttl)
        elif orphan and lease.ttl is None and self._grace is not None:
            lease.ttl, lease.expires = self._grace, self._clock() + self._grace
            self._keeper.graced[lease.epoch] = lease  # which nobody is told: it is not the lease that has changed

    def sweep(self) -> int:
        """End the allocations whose time is over, as `expired`, and return how many. A thread does that by itself.

        Who may own one that was found when the pool was opened, and that nobody knew, is asked once more.
        """
        with self._sweeping:  # else another one ends as expired what this one asks about
            if self._keeper.graced:
                self._ask_again()
            return super().sweep()

    def _ask_again(self) -> None:
        with self._lock, self._change:
            now, graced = self._clock(), self._keeper.graced
            due = [one for one in graced.values() if one.expires is not None and one.expires <= now]
        answers = self._answers(due)
        with self._lock, self._change:
            for lease, answer in zip(due, answers, strict=True):
                if graced.pop(lease.epoch, None) is None:
                    continue  # somebody came for it meanwhile
                if answer is True:
                    lease.ttl = lease.expires = None
                elif answer is False:
                    self._release(lease, ReleaseReason.CANCELLED)

    def find_resource(self, resource_id: str) -> ResourceInstance | None:
        """Return the record of an entity; None where there is none."""
        with self._lock, self._change:
            found = self._stock.entities.get(resource_id)
            return None if found is None else self._stock.instance(found)

    @property
    def configured(self) -> frozenset[str]:
        """The ids of the entities that came from a configuration."""
        with self._lock, self._change:
            return frozenset(self._keeper.configured)

    def note_configured(self, ids: set[str]) -> None:
        """Remember which entities come from a configuration, so that they can go when it lists them no more."""
        with self._lock, self._change:
            self._keeper.configure(ids)

    @property
    def persistence(self) -> Persistence:
        """How the pool is kept."""
        with self._lock, self._change:
            return self._keeper.report()

    def close(self) -> None:
        """End the thread that ends allocations, write what is not written yet, and let others open the directory.

        What happens afterwards is not kept.

        Raises:
            ResourceUnavailableError: It cannot be written.
        """
        super().close()
        self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _allocation(lease: Lease) -> TaskResourceAllocation:
    status, reason = STATUS[lease.usage]
    return TaskResourceAllocation(lease.task_id, lease.resources, status, reason, lease.since, None, lease.epoch)
