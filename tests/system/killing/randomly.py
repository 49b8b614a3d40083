"""Kills saturated owners of all kinds at random moments, while two processes give back what they leave.

    unshare --pid --fork --mount-proc --mount python -m tests.system.killing.randomly ROOT KILLS SEED

An owner is killed alone, or with all its group; who gives back is killed as well. Some owners are stopped first, and
what they hold is replaced by something of the same name. One owner is stopped throughout, and must lose nothing. From
time to time all owners are killed, and one pass must then leave nothing but what was never theirs. Prints counts as
JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

from tests.system.killing import kinds

from framework import Resource, recovery
from framework.records import Recovery
from framework.recovery import children

OWNERS = 4
ROUND = 500
"""Kills after which everything is looked at."""
OUTCOMES = ("reclaimed", "gone", "failed", "skipped", "quarantined")
NAMES = 12
"""Names of segments that all owners want to have."""


def own(places: kinds.Places, seed: int) -> None:
    """Acquire and release at random, for ever."""

    async def saturate() -> None:
        rng = random.Random(seed)
        provider = kinds.Kinds(places)
        await provider.initialize()
        choice = [kind for kind in kinds.kinds_of(places) for _ in range(WEIGHTS[kind])]
        held: list[Resource] = []
        while True:
            if len(held) < 8 and rng.random() < 0.6:
                kind = rng.choice(choice)
                name = f"segment-{rng.randrange(NAMES)}" if kind == "kill.segment" else "any"
                try:
                    held.append(await provider.create(kind, name=name))
                except FileExistsError:  # somebody else has that segment
                    continue
            elif held:
                await held.pop(rng.randrange(len(held))).release()

    asyncio.run(saturate())


WEIGHTS = {"kill.file": 8, "kill.folder": 8, "kill.segment": 8, "kill.child": 1, "kill.group": 1}


class Tally:
    """Counts that survive the death of who counts."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4096)

    def add(self, index: int, number: int = 1) -> None:
        """Count; each index belongs to one process at a time."""
        (before,) = struct.unpack_from("Q", self._memory, 8 * index)
        struct.pack_into("Q", self._memory, 8 * index, before + number)

    def __getitem__(self, index: int) -> int:
        return int(struct.unpack_from("Q", self._memory, 8 * index)[0])


def give_back(places: kinds.Places, tally: Tally, first: int) -> None:
    """Reclaim for ever; `first` is where the counts of this one begin, and that of the passes it is in."""
    while True:
        tally.add(first)
        done = recovery.reclaim(places.journals)
        for one in done:
            tally.add(first + 2 + OUTCOMES.index(one.outcome))
            if one.outcome not in {"reclaimed", "gone"}:
                print(one, file=sys.stderr, flush=True)
        tally.add(first + 1)


def start(work: Callable[[], None], *, group: bool = False) -> int:
    """Do something in a child, perhaps with a group of its own; return its number."""
    child = os.fork()
    if child:
        if group:
            os.setpgid(child, child)
        return child
    try:
        if group:
            os.setpgid(0, 0)
        work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


class Run:
    """One run."""

    def __init__(self, places: kinds.Places, seed: int) -> None:
        self.places = places
        self.random = random.Random(seed)
        self.tally = Tally()
        self.counts: Counter[str] = Counter()
        self.strangers: dict[str, set[str]] = {"segments": set(), "files": set(), "processes": set(), "groups": set()}
        self.owners = [self.owner() for _ in range(OWNERS)]
        self.reclaimers = [self.reclaimer(number) for number in range(2)]
        self.stopped = self.owner()
        while not os.path.exists(places.journals) or len(self.held_by(self.stopped)) < 3:
            time.sleep(0.01)
        os.kill(self.stopped, signal.SIGSTOP)
        os.waitpid(self.stopped, os.WUNTRACED)
        self.look_alikes()

    def owner(self) -> int:
        """Start one that acquires."""
        seed = self.random.randrange(1 << 30)
        return start(lambda: own(self.places, seed), group=True)

    def reclaimer(self, number: int) -> int:
        """Start one that gives back."""
        return start(lambda: give_back(self.places, self.tally, 10 * number))

    def held_by(self, pid: int) -> list[str]:
        """Return the paths of what a process holds, by its journal."""
        records = recovery.held(self.places.journals)
        return [path for one in records if one.pid == pid and one.held for path in one.paths]

    def look_alikes(self) -> None:
        """Make what must be left alone: the same names, user and places, but another token or inode."""
        token = os.urandom(14).hex()
        for folder, sort in ((self.places.files, "files"), (kinds.SHM, "segments")):
            name = f"any-{token}" if sort == "files" else f"segment-{NAMES}"
            open(os.path.join(folder, name), "w").close()
            self.strangers[sort].add(name)
        os.makedirs(os.path.join(self.places.files, f"folder-{token}", "inner"))
        self.strangers["files"].add(f"folder-{token}")
        self.strangers["processes"].add(str(kinds.spawn(token)))
        if self.places.groups:
            os.mkdir(os.path.join(self.places.groups, f"x-{token}"))
            self.strangers["groups"].add(f"x-{token}")

    def kill(self) -> None:
        """Kill somebody."""
        which = self.random.random()
        if which < 0.04:
            self.kill_reclaimer()
            return
        number = self.random.randrange(OWNERS)
        pid = self.owners[number]
        if which < 0.08:
            self.replace_segment(pid)
        if which < 0.5:
            self.counts["owner only"] += 1
            os.kill(pid, signal.SIGKILL)
        else:
            self.counts["whole group"] += 1
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.owners[number] = self.owner()

    def kill_reclaimer(self) -> None:
        number = self.random.randrange(2)
        os.kill(self.reclaimers[number], signal.SIGKILL)
        os.waitpid(self.reclaimers[number], 0)
        begun, ended = self.tally[10 * number], self.tally[10 * number + 1]
        self.counts["during recovery" if begun > ended else "between recoveries"] += 1
        self.tally.add(10 * number + 1, begun - ended)
        self.reclaimers[number] = self.reclaimer(number)

    def replace_segment(self, pid: int) -> None:
        """Put something of one's own in the place of what an owner holds, who is about to be killed."""
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        for path in self.held_by(pid):
            name = os.path.basename(path)
            if name in self.strangers["segments"] or os.path.dirname(path) != kinds.SHM or not _has_open(pid, path):
                continue
            if len(self.strangers["segments"]) < NAMES - 3:  # or the owners would have none left
                # In one step: between removing and making, another owner could take the name, and later give it back.
                other = os.path.join(kinds.SHM, "other")
                open(other, "w").close()
                os.rename(other, path)
                self.strangers["segments"].add(name)
                self.counts["replaced"] += 1

    def reap(self) -> None:
        """Take leave of orphans; nobody else may have ended by itself, or by somebody else's hand."""
        ours = {*self.owners, *self.reclaimers, self.stopped, *map(int, self.strangers["processes"])}
        assert not ours & set(kinds.reap())

    def look(self) -> None:
        """Kill everybody, have one pass give back all, and hold that nothing is left but what was never theirs."""
        for pid in (*self.owners, *self.reclaimers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self.counts["at the end of a round"] += 1
        for one in recovery.reclaim(self.places.journals):
            self.counts[one.outcome] += 1
            assert one.outcome in {"reclaimed", "gone"}, one
        self.nothing_is_left()
        for name in sorted(self.strangers["segments"])[:-1]:
            os.unlink(os.path.join(kinds.SHM, name))
            self.strangers["segments"].remove(name)
        self.owners = [self.owner() for _ in range(OWNERS)]
        self.reclaimers = [self.reclaimer(number) for number in range(2)]

    def nothing_is_left(self) -> None:
        left = kinds.remains(self.places)
        (journal,) = left.pop("journals")
        assert journal.startswith(f"{self.stopped}-")
        records = [one for one in recovery.held(self.places.journals) if one.state == "live"]
        assert {one.pid for one in records} == {self.stopped}
        mine = {os.path.basename(path) for one in records for path in one.paths}
        tokens = {path for one in records for verb, path in zip(one.verbs, one.paths, strict=True) if verb == KILL}
        held = {os.path.basename(path) for path in self.held_by(self.stopped)} - tokens
        assert held <= {*left["segments"], *left["files"], *left["groups"]}
        for sort, found in left.items():
            others = {one for one in found if one not in mine and not _carries(one, tokens)}
            assert others == self.strangers[sort], (sort, others, self.strangers[sort])
        self.counts["looks"] += 1

    def end(self) -> dict[str, int]:
        """Kill all that is left, and return the counts."""
        os.kill(self.stopped, signal.SIGKILL)
        os.waitpid(self.stopped, 0)
        for pid in self.strangers["processes"]:
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
        recovery.reclaim(self.places.journals)
        for name in self.strangers["groups"]:
            os.rmdir(os.path.join(self.places.groups, name))
        left = kinds.remains(self.places)
        assert not [sort for sort in ("journals", "processes", "groups") if left[sort]], left
        for number in range(2):
            for index, outcome in enumerate(OUTCOMES):
                self.counts[outcome] += self.tally[10 * number + 2 + index]
        return dict(sorted(self.counts.items()))


KILL = Recovery.KILL.value


def _has_open(pid: int, path: str) -> bool:
    """Return whether what is at a path now is open in a process: its journal may be a step behind what it has done."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(FileNotFoundError):
        return any(os.path.samefile(os.path.join(folder, one), path) for one in os.listdir(folder))
    return False


def _carries(pid: str, tokens: set[str]) -> bool:
    """Return whether a process carries one of the tokens."""
    return pid.isdigit() and bool(children._tokens(pid) & tokens)


def main() -> None:
    """Kill so many times."""
    places, kills, seed = kinds.enter(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    run = Run(places, seed)
    try:
        for number in range(1, kills + 1):
            time.sleep(run.random.random() * 0.012)
            run.kill()
            run.reap()
            if number % ROUND == 0 or number == kills:
                run.look()
        for pid in (*run.owners, *run.reclaimers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        counts = run.end()
    finally:
        kinds.leave(places)
    print(json.dumps({"kills": kills, "kinds": len(kinds.kinds_of(places)), **counts}))


if __name__ == "__main__":
    main()
