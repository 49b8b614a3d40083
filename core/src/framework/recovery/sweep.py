"""`reclaim`: one pass over the journals of the dead; `settle_own`: the same for this process, when it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
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
"""Journals that are open at once, or fewer where descriptors are short."""

_LATE = "there was no time left for it; the next pass does it"

Provide = Callable[[str, str], None]
"""Has the provider of a kind undo something; takes the kind and what the provider had intended."""


class NotHereError(Exception):
    """It cannot be done from here, which says nothing about whether another process could; `Provide` may raise it."""


@dataclass(slots=True)
class _Pass:
    """What one pass goes by."""

    deadline: float
    dry_run: bool = False
    retry: bool = False
    provide: Provide | None = None
    alive: set[str] = field(default_factory=set)

    def is_over(self) -> bool:
        """Return whether the rest is left to a later pass."""
        return time.monotonic() >= self.deadline


class _Dead:
    """What a process that is dead, or about to be, had left, and what can be told of it from here."""

    __slots__ = ("content", "descriptor", "owner", "path", "same_boot", "same_files", "same_processes")

    def __init__(self, content: Content, path: str = "", descriptor: int = -1) -> None:
        self.content = content
        self.path = path
        self.descriptor = descriptor
        self.owner = owner = content.owner
        self.same_boot = owner is not None and owner.same_boot()
        self.same_processes = owner is not None and owner.sees_same_processes()
        self.same_files = owner is not None and owner.sees_same_files()


def reclaim(
    directory: str = "",
    *,
    dry_run: bool = False,
    retry: bool = False,
    provide: Provide | None = None,
    budget: float = BUDGET,
) -> list[Reclamation]:
    """Give back what dead processes of this user had left behind; safe to do by several processes at once.

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
        paths, at_once = journals.listed(place), _at_once()
    except FrameworkError:  # no home, or nothing in there that could be trusted
        return []
    if not dry_run:
        journals.tidy(place)
    one = _Pass(time.monotonic() + budget, dry_run, retry, provide)
    outcomes: list[Reclamation] = []
    for start in range(0, len(paths), at_once):
        outcomes += _chunk(one, paths[start : start + at_once])
    return outcomes


def _at_once() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _AT_ONCE if limit == resource.RLIM_INFINITY else max(1, min(_AT_ONCE, limit // 8))


def _chunk(one: _Pass, paths: list[str]) -> list[Reclamation]:
    """Settle so many journals as may be open at once; the children of all of them are looked for together."""
    outcomes: list[Reclamation] = []
    with contextlib.ExitStack() as stack:
        dead: list[_Dead] = []
        for path in paths:
            try:
                found = stack.enter_context(journals.of_dead(path))
            except (OSError, MemoryError) as error:
                outcomes.append(_unreadable(path, str(error)))
                continue
            if found is not None:
                dead.append(_Dead(found[1], path, found[0]))
        _end_children(one, dead)
        for each in dead:
            outcomes += _settle(one, each)
    return outcomes


def settle_own(budget: float = 5.0) -> list[Reclamation]:
    """Give back what this process holds, as the journal says, without anybody's help; for its last moments."""
    own = Journal.existing()
    if own is None:
        return []
    one = _Pass(time.monotonic() + budget, retry=True)
    dying = _Dead(journal.parse(own.content()))
    _end_children(one, [dying])
    outcomes = []
    for entry in reversed(dying.content.entries.values()):
        outcome = _undo(one, entry, dying)
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


def _end_children(one: _Pass, dead: list[_Dead]) -> None:
    if one.dry_run:
        return
    carried = [(each, target.path) for each in dead for target in _reachable(one, each) if target.verb is Recovery.KILL]
    held = {each.descriptor for each, _ in carried if each.path}

    def starting() -> bool:  # the lock of the dead is a child's until that executes another program
        return not all(map(journals.locked, held))

    one.alive = children.kill({token for _, token in carried}, one.deadline, starting=starting)


def _reachable(one: _Pass, each: _Dead) -> Iterator[Target]:
    if each.same_boot and each.same_processes:
        for entry in each.content.entries.values():
            if one.retry or len(entry.tried) < MOST_ATTEMPTS:
                yield from entry.targets


def _settle(one: _Pass, each: _Dead) -> list[Reclamation]:
    """Undo what one journal says, and remove it when nothing is left to undo."""
    entries, descriptor = each.content.entries, each.descriptor
    if each.owner is None:
        if os.fstat(descriptor).st_size:
            return [_unreadable(each.path, "it does not say whose it is")]
        return _removed(one, each.path)  # power was lost before a byte of it was on the disk
    outcomes: list[Reclamation] = []
    if not one.dry_run:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, each.content.valid_bytes)  # or what is noted would come after half a record
    for entry in reversed(list(entries.values())):
        with span("lease.reclaim", kind=entry.kind, resource=entry.name, owner=entry.owner, size=entry.size) as seen:
            late = not one.dry_run and one.is_over()
            outcome = _outcome(entry, each, "skipped", _LATE) if late else _undo(one, entry, each)
            describe(seen, outcome=outcome.outcome)
            if outcome.outcome == "failed":
                fail(seen, outcome.reason)
        outcomes.append(outcome)
        if not one.dry_run:
            _log(outcome)
            _note(each, entry, outcome)
    if not entries:
        _removed(one, each.path)
    return outcomes


def _log(done: Reclamation) -> None:
    """Log what became of a lease: what is seen again at each look is for developers only."""
    if done.outcome in {"reclaimed", "gone"}:
        get_logger().info("lease_reclaimed", **_fields(done))
    elif done.outcome == "failed":
        get_logger().warning("lease_left", **_fields(done))
    else:
        get_logger().debug("lease_left", **_fields(done))


def _note(each: _Dead, entry: Entry, outcome: Reclamation) -> None:
    """Note how it went; where there is no room for that, it is undone again, which does nothing."""
    with contextlib.suppress(OSError):
        if outcome.outcome in {"reclaimed", "gone"}:
            del each.content.entries[entry.id]
            os.write(each.descriptor, record(RELEASE, entry.id))
        elif outcome.outcome == "failed":
            os.write(each.descriptor, record(TRIED, entry.id, outcome.reason))


def _removed(one: _Pass, path: str) -> list[Reclamation]:
    if not one.dry_run:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return []


def _undo(one: _Pass, entry: Entry, each: _Dead) -> Reclamation:
    if len(entry.tried) >= MOST_ATTEMPTS and not one.retry:
        return _outcome(entry, each, "quarantined", entry.tried[-1])
    done: list[Target] = []
    reasons = []
    for target in reversed(entry.targets):
        try:
            if _undone(one, target, entry, each):
                done.append(target)
        except NotHereError as error:
            return _outcome(entry, each, "skipped", str(error))
        except verbs.NotOursError as error:
            reasons.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, the others are tried
            return _outcome(entry, each, "failed", f"{_spelled(target)}: {error}")
    if done and one.dry_run:
        return _outcome(entry, each, "planned", ", ".join(_spelled(target) for target in reversed(done)))
    return _outcome(entry, each, "reclaimed" if done else "gone", "; ".join(reasons))


def _undone(one: _Pass, target: Target, entry: Entry, each: _Dead) -> bool:
    # numbers of inodes begin anew as well
    by_number = target.proof.startswith("inode:")
    if not each.same_boot and (target.volatile or by_number or target.verb in {Recovery.KILL, Recovery.RMDIR}):
        return False
    if target.verb is Recovery.PROVIDER:
        if one.dry_run:
            return True  # only its plugin knows better
        if one.provide is None:
            raise NotHereError(f"only the plugin that provides {entry.kind} can undo it")
        one.provide(entry.kind, target.path)
        return True
    if target.verb is Recovery.KILL:
        return _ended(one, target, each)
    elsewhere = each.same_boot and not each.same_files
    if elsewhere and by_number:  # which mean something else on another file system at the same place
        raise NotHereError(f"{target.path!r} may be there in another space of mounts")
    assert each.owner is not None  # noqa: S101 - only who said who they are get here
    try:
        undone = verbs.undo(target, journal.token(each.owner, entry.id), one.deadline, dry_run=one.dry_run)
    except verbs.NotOursError:
        if not elsewhere:
            raise
        undone = False
    if not undone and elsewhere:
        raise NotHereError(f"{target.path!r} may be there in another space of mounts")
    return undone


def _ended(one: _Pass, target: Target, each: _Dead) -> bool:
    if not each.same_processes:
        raise NotHereError("its process lived in another space of process numbers")
    if not children.can_look():
        raise NotHereError("/proc does not show the processes of this space of process numbers")
    if target.path in one.alive:
        raise TimeoutError("a process that carries it may not have ended")
    if target.path in os.environ.get(children.VARIABLE, "").split(":"):
        raise NotHereError("it is this process")
    return True


def _outcome(entry: Entry, each: _Dead, outcome: str, reason: str = "") -> Reclamation:
    pid, program = (each.owner.pid, each.owner.program) if each.owner else (0, "")
    return Reclamation(pid, program, entry.id, entry.kind, entry.name, entry.owner, entry.size, outcome, reason)


def _unreadable(path: str, problem: str) -> Reclamation:
    reason = f"the journal {path!r} cannot be read: {problem}; remove it by hand"
    return Reclamation(0, "", 0, "", path, "", 0, "skipped", reason)


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
