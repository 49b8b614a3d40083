"""`reclaim`: one pass over the journals of the dead; `settle_own`: the same for this process, when it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from framework import journal
from framework.errors import FrameworkError
from framework.journal import Content, Entry, Journal, Target
from framework.journal.format import RELEASE, TRIED, record
from framework.records import Reclamation, Recovery
from framework.recovery import children, journals, verbs
from framework.telemetry import get_logger
from framework.telemetry.tracing import describe, fail, span

MOST_ATTEMPTS = 3
"""Failures after which a lease is quarantined."""

BUDGET = 30.0
"""Seconds that one pass may take."""

_AT_ONCE = 100
_LATE = "there was no time left for it; the next pass does it"

Provide = Callable[[str, str], None]
"""Has the provider of a kind undo something; takes the kind and what the provider had intended."""


@dataclass(slots=True)
class _Pass:
    """What one pass goes by."""

    deadline: float
    dry_run: bool = False
    retry: bool = False
    provide: Provide | None = None
    alive: set[str] = field(default_factory=set)


def reclaim(
    directory: str = "",
    *,
    dry_run: bool = False,
    retry: bool = False,
    provide: Provide | None = None,
    budget: float = BUDGET,
) -> list[Reclamation]:
    """Give back what dead processes of this user had left behind; several that do so take turns.

    Killed in the middle, it is simply done again. A lease that fails is noted in its journal, and tried again by a
    later pass, up to three times.

    Args:
        directory: Where the journals are; the user's when empty.
        dry_run: Only say what would be done.
        retry: Also try what failed too often before.
        provide: Who undoes what only a provider can; without it that is skipped.
        budget: Seconds after which the rest is left to a later pass.
    """
    try:
        place = directory or journal.directory_path()
        paths = journals.listed(place)
    except FrameworkError:  # no home, or nothing in there that could be trusted
        return []
    one = _Pass(time.monotonic() + budget, dry_run, retry, provide)
    if dry_run or not os.path.isdir(place):
        return _settled(one, paths)
    with journals.turn(place, one.deadline) as mine:
        for path in journals.unfinished(place) if mine else []:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return _settled(one, paths) if mine else []


def _settled(one: _Pass, paths: list[str]) -> list[Reclamation]:
    return [done for start in range(0, len(paths), _AT_ONCE) for done in _chunk(one, paths[start : start + _AT_ONCE])]


def _chunk(one: _Pass, paths: list[str]) -> list[Reclamation]:
    """Settle so many journals as may be open at once; the children of all of them are looked for together."""
    outcomes: list[Reclamation] = []
    with contextlib.ExitStack() as stack:
        dead: list[tuple[str, int, Content]] = []
        for path in paths:
            found = stack.enter_context(journals.of_dead(path))
            if found is not None:
                dead.append((path, *found))
        _end_children(one, [content for _, _, content in dead])
        for path, descriptor, content in dead:
            outcomes += _settle(one, path, descriptor, content)
    return outcomes


def settle_own(budget: float = 5.0) -> list[Reclamation]:
    """Give back what this process holds, as the journal says, without anybody's help; for its last moments."""
    own = Journal.existing()
    if own is None:  # nothing is held, or what is there is that of the process that this one was forked from
        return []
    one = _Pass(time.monotonic() + budget, retry=True)
    content = journal.parse(own.content())
    _end_children(one, [content])
    outcomes = []
    for entry in reversed(content.entries.values()):
        outcome = _undo(one, entry, content)
        if outcome.outcome in {"reclaimed", "gone"}:
            own.release(entry.id)
        outcomes.append(outcome)
    Journal.forget(remove=True)
    return outcomes


def at_exit(budget: float | None = None) -> None:
    """Have this process give back what it still holds when the interpreter ends.

    Args:
        budget: Seconds that it may take; 5 unless somebody said otherwise before.
    """
    if budget is not None:
        _at_exit["budget"] = budget
    atexit.unregister(_settle_at_exit)
    atexit.register(_settle_at_exit)


_at_exit = {"budget": 5.0}


def _settle_at_exit() -> None:
    for one in settle_own(_at_exit["budget"]):
        _log(one)


def _end_children(one: _Pass, contents: list[Content]) -> None:
    if one.dry_run:
        return
    tokens = {
        target.path for content in contents for target in _reachable(one, content) if target.verb is Recovery.KILL
    }
    one.alive = children.kill(tokens, one.deadline)


def _reachable(one: _Pass, content: Content) -> Iterator[Target]:
    owner = content.owner
    if owner is not None and owner.same_boot() and owner.sees_same_processes():
        for entry in content.entries.values():
            if one.retry or len(entry.tried) < MOST_ATTEMPTS:
                yield from entry.targets


def _settle(one: _Pass, path: str, descriptor: int, content: Content) -> list[Reclamation]:
    """Undo what one journal says, and remove it when nothing is left to undo."""
    if content.owner is None:
        return [_unreadable(path)] if content.damaged and os.fstat(descriptor).st_size else _removed(one, path)
    outcomes: list[Reclamation] = []
    if not one.dry_run:
        os.ftruncate(descriptor, content.valid_bytes)  # what is torn would hide what is noted behind it
    for entry in reversed(list(content.entries.values())):
        with span("lease.reclaim", kind=entry.kind, resource=entry.name, owner=entry.owner, size=entry.size) as seen:
            late = not one.dry_run and time.monotonic() >= one.deadline
            outcome = _outcome(entry, content, "skipped", _LATE) if late else _undo(one, entry, content)
            describe(seen, outcome=outcome.outcome)
            if outcome.outcome == "failed":
                fail(seen, outcome.reason)
        outcomes.append(outcome)
        with contextlib.suppress(OSError):  # no room: it is undone again, which does nothing
            if outcome.outcome in {"reclaimed", "gone"}:
                os.write(descriptor, record(RELEASE, entry.id))
                del content.entries[entry.id]
            elif outcome.outcome == "failed":
                os.write(descriptor, record(TRIED, entry.id, outcome.reason))
    if not content.entries:
        _removed(one, path)
    for done in outcomes:
        _log(done)
    return outcomes


def _log(done: Reclamation) -> None:
    """Log what became of a lease: what is seen again at each look is for developers only."""
    if done.outcome in {"reclaimed", "gone"}:
        get_logger().info("lease_reclaimed", **_fields(done))
    elif done.outcome == "failed":
        get_logger().warning("lease_left", **_fields(done))
    else:
        get_logger().debug("lease_left", **_fields(done))


def _removed(one: _Pass, path: str) -> list[Reclamation]:
    if not one.dry_run:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return []


def _undo(one: _Pass, entry: Entry, content: Content) -> Reclamation:
    if len(entry.tried) >= MOST_ATTEMPTS and not one.retry:
        return _outcome(entry, content, "quarantined", entry.tried[-1])
    if one.dry_run:
        return _outcome(entry, content, "planned", ", ".join(_spelled(target) for target in entry.targets))
    did, reasons = False, []
    for target in reversed(entry.targets):
        try:
            did |= _undone(one, target, entry, content)
        except _Skipped as error:
            return _outcome(entry, content, "skipped", str(error))
        except verbs.NotOursError as error:
            reasons.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the others are tried
            return _outcome(entry, content, "failed", f"{_spelled(target)}: {error}")
    return _outcome(entry, content, "reclaimed" if did else "gone", "; ".join(reasons))


class _Skipped(Exception):  # noqa: N818 - no error: it is not for this process to do
    """It cannot be done from here."""


def _undone(one: _Pass, target: Target, entry: Entry, content: Content) -> bool:
    owner = content.owner
    if owner is None:
        return False
    gone_by_reboot = target.volatile or target.verb in {Recovery.KILL, Recovery.RMDIR}
    if gone_by_reboot and not owner.same_boot():
        return False
    if target.verb is Recovery.PROVIDER:
        if one.provide is None:
            raise _Skipped(f"only the plugin that provides {entry.kind} can undo it")
        one.provide(entry.kind, target.path)
        return True
    if target.verb is Recovery.KILL:
        if not owner.sees_same_processes():
            raise _Skipped("its process lived in another space of process numbers")
        if target.path in one.alive:
            raise TimeoutError("it does not end")
        if target.path in os.environ.get(children.VARIABLE, "").split(":"):
            raise _Skipped("it is this process")
        return True
    undone = verbs.undo(target, journal.token(owner, entry.id), one.deadline)
    if not undone and owner.same_boot() and not owner.sees_same_files():
        raise _Skipped(f"{target.path!r} may be there in another space of mounts")
    return undone


def _outcome(entry: Entry, content: Content, outcome: str, reason: str = "") -> Reclamation:
    pid, program = (content.owner.pid, content.owner.program) if content.owner else (0, "")
    return Reclamation(pid, program, entry.id, entry.kind, entry.name, entry.owner, entry.size, outcome, reason)


def _unreadable(path: str) -> Reclamation:
    return Reclamation(0, "", 0, "", path, "", 0, "skipped", f"the journal {path!r} cannot be read; remove it by hand")


def _spelled(target: Target) -> str:
    return f"{target.verb.value} {target.path}"


def _fields(done: Reclamation) -> dict[str, object]:
    return {
        "lease": done.lease,
        "kind": done.kind,
        "resource": done.name,
        "owner": done.owner,
        "size": done.size,
        "pid": done.pid,
        "outcome": done.outcome,
        "reason": done.reason,
    }
