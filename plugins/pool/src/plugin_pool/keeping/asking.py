"""Asks the owners of leases whether they still have them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from framework import get_logger
from plugin_pool.records import TaskResourceAllocation

Ask = Callable[[TaskResourceAllocation], bool | None]


def asked(ask: Ask, allocations: Sequence[TaskResourceAllocation], timeout: float) -> list[bool | None]:
    """Return an answer for each allocation: True where it is to be kept, False to release it, None where unknown.

    All are asked one after the other by a thread of their own, for at most so many seconds together. Who raises,
    answers something else or is not reached in time, does not know.
    """
    answers: list[bool | None] = []

    def run() -> None:
        answers.extend(_answer(ask, one) for one in allocations)

    thread = threading.Thread(target=run, name="pool-asking", daemon=True)
    thread.start()
    thread.join(timeout)
    found = answers[: len(allocations)]
    if len(found) < len(allocations):
        get_logger().warning("pool_owners_late", answered=len(found), asked=len(allocations), seconds=timeout)
    return found + [None] * (len(allocations) - len(found))


def _answer(ask: Ask, allocation: TaskResourceAllocation) -> bool | None:
    try:
        found = ask(allocation)
    except Exception as error:  # noqa: BLE001 - whatever it is, it does not know
        get_logger().warning("pool_owner_failed", task=allocation.task_id, error=repr(error))
        return None
    return found if found is True or found is False else None
