"""`Warden`: warns when something is blocked, once for each cause, and says when it is over."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from framework import get_logger
from framework.errors import InvalidRequestError
from plugin_pool import words
from plugin_pool.hosting.measures import REASONS
from plugin_pool.hosting.notice import Notice
from plugin_pool.observed import Standing
from plugin_pool.pool import ResourcePool
from plugin_pool.records import Tier

EVERY = 5.0
"""Seconds between two looks, as long as something waits or is blocked; nobody looks while nothing is."""
QUIET = 60.0
"""Seconds after which the same cause may be told again, if it has changed or came back."""
MOST = 100
"""So many causes are told one by one."""
_SOONEST = 0.05
_REST = 1.0
"""Seconds between a look that found nothing and the one that ends the looking: tasks may come and go very fast."""

Tell = Callable[[Notice, bool], object]
"""Is told of a cause, and whether it is over."""


class _Sign(NamedTuple):
    """What is seen of a cause: what must change for it to be told again, and how to put it into words."""

    state: Hashable
    notice: Callable[[], Notice | None]


class _Told(NamedTuple):
    """A cause that was told: how it was then, when, and whether it is over."""

    state: Hashable
    notice: Notice
    at: float
    over: bool


class Warden:
    """Looks at a pool when a task begins to wait or is blocked, and again until nothing is.

    Args:
        pool: What is looked at.
        tell: Who is told; in the warden's thread, not under the pool's lock.
        after: Seconds of waiting that are too long; None where no waiting is.
        clock: Returns seconds, for `QUIET`.
    """

    def __init__(
        self,
        pool: ResourcePool,
        tell: Tell,
        *,
        after: float | None = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._tell = tell
        self._after = after
        self._clock = clock
        self._told: dict[Hashable, _Told] = {}
        self._stirred = threading.Event()
        self._idle = True
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look as soon as there is something to see."""
        self._pool.when_stirred(self.stir)

    def stop(self) -> None:
        """Look no more."""
        self._closed = True
        self._stirred.set()
        if self._thread is not None and self._thread is not threading.current_thread():  # as when a hook ends the host
            self._thread.join(EVERY)

    def stir(self) -> None:
        """Have the thread look; takes a moment."""
        if not self._idle or self._closed:
            return
        self._idle = False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pool-warden", daemon=True)
            self._thread.start()
        self._stirred.set()

    def look(self) -> float | None:
        """Look once, and tell what is new, what has changed and what is over.

        Returns:
            Seconds after which to look again; None where there is nothing to look after.
        """
        waiting = self._pool.get_waiting()
        signs = dict(self._signs(waiting))
        now = self._clock()
        for key, sign in signs.items():
            self._see(key, sign, now)
        for key in [one for one, told in self._told.items() if one not in signs]:
            self._miss(key, now)
        if not waiting and not signs and not self._told:
            return None
        return self._next(waiting)

    def _signs(self, waiting: list[Standing]) -> Iterator[tuple[Hashable, _Sign]]:
        blocked = self._pool.get_blocked()
        if blocked.entities:
            yield "entities", _Sign(blocked.tasks, lambda: _entities(blocked.entities, blocked.tasks))
        late = [one for one in waiting if self._is_wrong(one)]
        for one in late[:MOST]:
            yield ("task", one.request.key, one.tier), _Sign(None, functools.partial(self._task, one))
        if len(late) > MOST:
            more = len(late) - MOST
            yield "more", _Sign(None, lambda: _more(more))

    def _is_wrong(self, one: Standing) -> bool:
        return one.tier in (Tier.ERROR, Tier.IMPOSSIBLE) or (self._after is not None and one.waited >= self._after)

    def _see(self, key: Hashable, sign: _Sign, now: float) -> None:
        told = self._told.get(key)
        if told is not None and ((told.state == sign.state and not told.over) or now < told.at + QUIET):
            return
        notice = sign.notice()
        if notice is not None:
            self._told[key] = _Told(sign.state, notice, now, over=False)
            self._tell(notice, False)  # noqa: FBT003 - as `Tell` takes it

    def _miss(self, key: Hashable, now: float) -> None:
        told = self._told[key]
        if not told.over:
            self._told[key] = told._replace(over=True)
            self._tell(told.notice, True)  # noqa: FBT003
        elif now >= told.at + QUIET:
            del self._told[key]

    def _next(self, waiting: list[Standing]) -> float:
        if self._after is None:
            return EVERY
        left = [self._after - one.waited for one in waiting if one.waited < self._after]
        return max(min([EVERY, *left]), _SOONEST)

    def _task(self, one: Standing) -> Notice | None:
        try:
            found = self._pool.explain(one.first)
        except InvalidRequestError:  # it was served or left just now
            return None
        remedy = found.remedy or words.remedy(one.tier)
        return Notice("task", REASONS[one.tier], one.first, one.tasks, found.sentence, remedy)

    def _run(self) -> None:
        wait: float | None = None
        while not self._closed:
            rested = wait == _REST
            self._stirred.wait(wait)
            self._stirred.clear()
            self._idle = True  # who stirs from here on may not be seen by this look
            wait = self._looked()
            if wait is None and not rested:
                wait = _REST
            if wait is not None:
                self._idle = False  # there is another look in any case
                self._stirred.clear()

    def _looked(self) -> float | None:
        if self._closed:
            return None
        try:
            return self.look()
        except Exception as error:  # noqa: BLE001 - a strategy may raise when it is asked; the next look may work
            get_logger().error("pool_watch_failed", error=f"{type(error).__name__}: {error}")
            return QUIET


def _entities(count: int, tasks: tuple[str, ...]) -> Notice:
    named = ", ".join([repr(one) for one in tasks])
    is_are = "resource is" if count == 1 else "resources are"
    return Notice(
        "entities",
        "blocked",
        tasks[0] if tasks else "",
        count,
        f"{count} {is_are} blocked, held by tasks that wait for something else: {named}.",
        "Let what they wait for finish, or release them.",
    )


def _more(count: int) -> Notice:
    return Notice(
        "more",
        "",
        "",
        count,
        f"Tasks wait too long with {count} more requests.",
        "Look at get_waiting() of the pool, and explain() one of them.",
    )
