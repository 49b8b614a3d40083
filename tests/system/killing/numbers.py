"""Gives the numbers of dead owners, and of their children, to other processes, which nobody must take for them.

    unshare --pid --fork --mount-proc --mount python -m tests.system.killing.numbers ROOT TIMES

Prints counts as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from tests.system.killing import kinds

from framework import recovery
from framework.identity import Owner
from framework.journal import Journal, Target
from framework.ledger import Ledger
from framework.records import Recovery


def again(number: int) -> int:
    """Start a process that has this number and waits; it carries no token."""
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(number - 1))
        child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
        if child == number:
            return child
        end(child)
    raise AssertionError(f"the number {number} could not be had")


def end(child: int) -> None:
    """Kill a child, and ask for its exit code."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def owner_with_child(places: kinds.Places) -> tuple[int, int, Owner]:
    """Start an owner that holds a child, and return their numbers, and who the owner said that it was."""
    reads, writes = os.pipe()
    owner = os.fork()
    if owner == 0:
        ledger = Ledger()
        lease = ledger.open("kill.child", "", "me", 0)
        ledger.intend(lease, Target(Recovery.KILL, ledger.token(lease), volatile=True))
        child = kinds.spawn(ledger.token(lease))
        own = Journal.existing()
        assert own is not None
        os.write(writes, b"%d " % child + own.owner.encode())
        signal.pause()
    number, _, said = os.read(reads, 4096).partition(b" ")
    os.close(reads)
    os.close(writes)
    who = Owner.decode(said)
    assert who is not None
    return owner, int(number), who


def main() -> None:
    """Do it so many times."""
    places, times = kinds.enter(sys.argv[1]), int(sys.argv[2])
    counts = {"owners": 0, "children": 0, "wrong": 0}
    for _ in range(times):
        owner, child, who = owner_with_child(places)
        assert not who.is_gone()
        end(owner)
        os.kill(child, signal.SIGKILL)
        while child not in kinds.reap():  # an orphan comes to this process a moment later
            time.sleep(0.001)
        strangers = [again(owner), again(child)]
        counts["owners"] += who.is_gone()
        outcomes = [one.outcome for one in recovery.reclaim(places.journals)]
        assert outcomes == ["reclaimed"], outcomes
        counts["children"] += 1
        for stranger in strangers:
            counts["wrong"] += os.waitpid(stranger, os.WNOHANG) != (0, 0)
            end(stranger)
        assert os.listdir(places.journals) == []
    kinds.leave(places)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
