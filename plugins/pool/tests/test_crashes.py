"""Processes are killed at random moments; what they were told is there afterwards, and nothing is held twice.

A nursery forks a process for each round, which does random things to a pool of its own. It says what it is about to do,
does it, and says what came of it. After the kill the pool must be as the last word says, or one step further.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_pool import ResourcePool
from plugin_pool.keeping.kept import KeptPool

NURSERY = """
import json, os, random, sys
from plugin_pool import ResourcePool
from plugin_pool.keeping import durable, journal, keeper, opening

journal.FIRST, journal._MOST, keeper.LONG = 4096, 4096, 8192  # so that there are many snapshots

def say(*words):
    os.write(1, json.dumps(words).encode() + b"\\n")

def live(path, seed, durability):
    chosen = random.Random(seed)
    pool = ResourcePool.open(path, durability=durability, grace=None)
    say("opened")
    while True:
        act = chosen.choice(["add", "remove", "mark", "repair", *["allocate"] * 3, *["release"] * 2])
        task, entity = f"t{chosen.randrange(6)}", f"e{chosen.randrange(12)}"
        count = chosen.randrange(1, 4)
        reason = chosen.choice(["completed", "completed", "failed"])
        say("will", act, task, entity, reason)
        try:
            say("did", act, task, entity, reason, done(pool, act, task, entity, count, reason))
        except Exception as error:
            say("did", act, task, entity, reason, None)

def done(pool, act, task, entity, count, reason):
    if act == "add":
        pool.add_resource({"id": entity, "type": "t", "capacity": 1 + int(entity[1:]) % 2})
    elif act == "remove":
        pool.remove_resource(entity)
    elif act == "allocate":
        found = pool.allocate_resources(task, {"type": "t", "count": count})
        return [found.epoch, sorted(found.allocated_resources)] if found else None
    elif act == "release":
        return pool.release_resources(task, reason) or None
    elif act == "mark":
        return pool.mark_executing(task) or None
    elif act == "repair":
        return pool.repair_resource(entity) or None
    return True

for line in sys.stdin:
    path, seed, durability = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            live(path, seed, durability)
        finally:
            os._exit(1)
    say("born", child)
    os.waitpid(child, 0)
    say("dead")
"""


class Model:
    """What a pool must be like, by what was said of it."""

    def __init__(self) -> None:
        self.services: dict[str, str] = {}
        self.leases: dict[str, tuple[int, list[str], str]] = {}

    def take(self, act: str, task: str, entity: str, reason: str, result: Any) -> None:
        if result is None:
            return
        if act == "add":
            self.services[entity] = "in"
        elif act == "remove":
            del self.services[entity]
        elif act == "allocate":
            self.leases[task] = (result[0], result[1], "deployed")
        elif act == "mark":
            epoch, ids, _ = self.leases[task]
            self.leases[task] = (epoch, ids, "busy")
        elif act == "repair":
            self.services[entity] = "in"
        elif act == "release":
            for one in self.leases.pop(task)[1]:
                if reason == "failed":
                    self.services[one] = "faulty"

    def seen(self) -> object:
        return self.services, self.leases

    def after(self, pool: KeptPool, act: str, task: str, entity: str, reason: str) -> None:
        """Take a step that nobody heard the end of, with the result that it must have had."""
        found = pool._stock.leases.get(task)
        result: Any = True
        if act == "allocate":
            if found is None:
                return
            result = [found.epoch, sorted(found.resources)]
            taken = [one for _, ids, _ in self.leases.values() for one in ids]
            for one in result[1]:
                assert self.services[one] == "in"
                assert taken.count(one) <= int(one[1:]) % 2
        elif act == "release" or act == "mark":
            result = True if task in self.leases else None
        self.take(act, task, entity, reason, result)


def seen(pool: KeptPool) -> object:
    words = {0: "in", 1: "draining", 2: "faulty"}
    services = {name: words[one.service] for name, one in pool._stock.entities.items()}
    leases = {name: (one.epoch, sorted(one.resources), one.usage.value) for name, one in pool._stock.leases.items()}
    return services, leases


def check_holders(pool: KeptPool) -> None:
    """Nothing is held by more than it has room for, and who holds is who is held."""
    for entity in pool._stock.entities.values():
        assert len(entity.holders) <= entity.group.capacity
        assert all(entity in one.entities and pool._stock.leases[one.task_id] is one for one in entity.holders)
    report = pool.get_status_report()
    assert report.total_resources == len(pool._stock.entities)
    assert report.available == sum(not (one.holders or one.service) for one in pool._stock.entities.values())


class Nursery:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def words(self) -> list[Any]:
        assert self.process.stdout is not None
        found: list[Any] = json.loads(self.process.stdout.readline())
        return found

    def round(self, path: Path, seed: int, durability: str, model: Model) -> list[Any] | None:
        """Have a process live and die, and return what it was about when it did."""
        assert self.process.stdin is not None
        print(json.dumps([str(path), seed, durability]), file=self.process.stdin, flush=True)
        chosen = random.Random(seed)
        heard, until = 0, chosen.choice([0, 1, 5, 100, 2000])
        child, pending = 0, None
        while (words := self.words())[0] != "dead":
            if words[0] == "born":
                child = words[1]
            elif words[0] == "will":
                pending = words[1:]
            elif words[0] == "did":
                pending = None
                model.take(*words[1:])
            heard += 1
            if heard > until and child:
                os.kill(child, signal.SIGKILL)
                child, until = 0, sys.maxsize
        return pending

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("rounds", "durability"),
    [
        (80, "buffered"),
        (20, "fsync"),
        pytest.param(2000, "buffered", marks=pytest.mark.slow),
        pytest.param(500, "fsync", marks=pytest.mark.slow),
    ],
)
def test_what_was_said_is_there_after_a_kill(tmp_path: Path, nursery: Nursery, rounds: int, durability: str) -> None:
    model = Model()
    epochs: set[int] = set()
    for seed in range(rounds):
        pending = nursery.round(tmp_path, seed, durability, model)
        pool = ResourcePool.open(tmp_path, grace=None)
        assert all("torn record" in one for one in pool.persistence.notes), pool.persistence.notes
        check_holders(pool)
        found = seen(pool)
        if found != model.seen():
            assert pending is not None
            model.after(pool, *pending)
            assert found == model.seen()
        new = {one[0] for one in model.leases.values()}
        assert pool._stock.epoch() > max([0, *new, *epochs])
        epochs |= new
        pool.close()
    assert len(epochs) > rounds / 5
    assert (max(int(one.name[-8:]) for one in tmp_path.glob("journal-*"))) > rounds / 10
