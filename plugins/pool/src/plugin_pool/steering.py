"""`Steering`: what a strategy does for a pool beyond ranking, guarded against what a stranger's code may do."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from framework import AllocationStrategy, Hint, ResourceClass, get_logger
from framework.errors import InvalidRequestError
from plugin_pool.bags import Guarded
from plugin_pool.entity import Entity
from plugin_pool.lease import Lease
from plugin_pool.records import ReleaseReason
from plugin_pool.watcher import Watcher

_REMEDY = "Correct the strategy, or use first_fit or best_fit."


class Steering(Watcher):
    """One strategy, asked for what it offers.

    A method that raises or returns nonsense is reported once, in the log, and not called again: the pool goes on
    without it. Only a rank that fails is an error, told to whoever added the entity or asked first.
    """

    def __init__(self, strategy: AllocationStrategy) -> None:
        self._strategy = strategy
        self.name = str(strategy.name)
        self._bag = _method(strategy, "bag")
        self._hint = _method(strategy, "hint")
        self._granted = _method(strategy, "granted")
        self._released = _method(strategy, "released")
        self._removed = _method(strategy, "removed")
        self._scored = _method(strategy, "scored")
        self.has_bags = self._bag is not None
        self.has_hints = self._hint is not None
        self.listens = any((self._granted, self._released, self._removed))

    def rank(self, shape: ResourceClass) -> float:
        """Return the rank of a class.

        Raises:
            InvalidRequestError: The strategy raised, or its rank is no finite number.
        """
        try:
            rank = float(self._strategy.rank(shape))
        except Exception as error:
            raise InvalidRequestError(f"The strategy {self.name!r} failed: {error!r:.200}.", _REMEDY) from error
        if not math.isfinite(rank):
            raise InvalidRequestError(
                f"The strategy {self.name!r} ranks a class with {rank}; a finite number is allowed.", _REMEDY
            )
        return rank

    def bag(self, shape: ResourceClass) -> Guarded | None:
        """Return a bag for the entities of a class; None where the strategy has none."""
        made = self._ask("_bag", "bag", shape)
        return None if made is None else Guarded(made, self)

    def hint(self, task_id: str) -> Hint | None:
        """Return what the strategy would like for a task."""
        found = self._ask("_hint", "hint", task_id)
        if found is None or _is_hint(found):
            return found  # type: ignore[no-any-return]  # it was looked at
        self._hint, self.has_hints = None, False
        self.failed("hint", f"{found!r:.200} is no hint")
        return None

    def score(self, entity: Entity, scores: Mapping[str, float]) -> None:
        """Tell the strategy what was measured of an entity."""
        self._ask("_scored", "scored", entity, scores)

    def lent(self, lease: Lease, entities: Sequence[Entity]) -> None:
        """Tell the strategy what a task was given."""
        self._ask("_granted", "granted", lease.task_id, entities)

    def returned(
        self, lease: Lease, entities: Sequence[Entity], reason: ReleaseReason, faulty: Collection[str]
    ) -> None:
        """Tell the strategy what a task gave back."""
        self._ask("_released", "released", lease.task_id, entities)

    def removed(self, entity: Entity) -> None:
        """Tell the strategy that an entity is gone."""
        self._ask("_removed", "removed", entity)

    def _ask(self, attribute: str, name: str, *arguments: Any) -> Any:
        """Call a method of the strategy if it has it; after it has raised, never again."""
        method = getattr(self, attribute)
        if method is None:
            return None
        try:
            return method(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever a stranger's code raises
            setattr(self, attribute, None)
            self.failed(name, repr(error))
            return None

    def failed(self, what: str, problem: str) -> None:
        """Report that a part of the strategy is not used any more."""
        get_logger().warning("pool_strategy_failed", strategy=self.name, part=what, problem=problem[:200])


def _is_hint(found: Any) -> bool:
    if not isinstance(found, Hint):
        return False
    prefer, near, avoid = tuple[Any, ...](found)
    if not (isinstance(prefer, tuple | list) and isinstance(near, Mapping) and isinstance(avoid, Mapping)):
        return False
    pairs = (list(one) for one in near.items())
    return all(_are_texts(one) for one in (prefer, *pairs, *avoid.values()))


def _are_texts(found: Any) -> bool:
    return isinstance(found, tuple | list | frozenset | set) and all(isinstance(one, str) for one in found)


def _method(strategy: AllocationStrategy, name: str) -> Callable[..., Any] | None:
    found = getattr(strategy, name, None)
    return found if callable(found) else None
