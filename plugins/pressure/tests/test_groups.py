"""Memory that really runs out: programs in control groups of 256 MiB that fill them, and must not be killed."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from framework.testing import MemoryGroup

LIMIT = 256 << 20
PREPARED = """
import asyncio, threading, time
from framework import Framework

held, lock = [], threading.Lock()

def drop(aggressive, reason):
    with lock:
        count = len(held) if aggressive else len(held) // 2
        gone = held[:count]
        del held[:count]
    size = sum(map(len, gone))
    gone.clear()
    return size

def fill(rate, total, chunk=1 << 20):
    # at most at this rate at any moment: what is late stays late
    due = time.monotonic()
    for _ in range(int(total) // chunk):
        block = bytearray(b"x") * chunk
        with lock:
            held.append(block)
        due = max(due, time.monotonic() - 0.002) + chunk / rate
        time.sleep(max(0.0, due - time.monotonic()))

def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)

def watch(work, *participants):
    async def main():
        async with Framework.from_config({"plugins": {"pressure": {"participant_budget": 0.5}}}) as host:
            for name, answer in participants:
                host.add_cleanup_participant(name, answer)
            service = await host.service("pressure")
            result = await asyncio.get_running_loop().run_in_executor(None, work, service)
            rows = [[one.action, one.level, one.claimed, one.freed, one.group_freed] for one in service.decisions]
            print(json.dumps({"result": result, "decisions": rows, "events": service.state().events}))
    asyncio.run(main())
"""


def ran(group: MemoryGroup, script: str, *arguments: str) -> dict[str, Any]:
    ended = group.run(PREPARED + script, *arguments)
    assert (ended.status, ended.killed) == (0, 0), ended.errors
    found: dict[str, Any] = ended.result
    return found


RAMP = 'watch(lambda _: fill(float(sys.argv[2]), float(sys.argv[3])), ("hoard", drop))'


@pytest.mark.parametrize(
    ("rate", "total"),
    [
        pytest.param(1e9, 1e9, id="1 GB/s"),
        pytest.param(4e7, 4e8, id="40 MB/s"),
        pytest.param(1e7, 6e8, id="10 MB/s", marks=[pytest.mark.slow, pytest.mark.alone]),
        pytest.param(1e9, 5e9, id="1 GB/s for long", marks=[pytest.mark.slow, pytest.mark.alone]),
    ],
)
def test_a_ramp_is_survived_when_those_asked_can_free_enough(rate: float, total: float) -> None:
    with MemoryGroup(LIMIT) as group:
        found = ran(group, RAMP, str(rate), str(total))
    cleaned = [row for row in found["decisions"] if row[0].startswith("clean")]
    assert cleaned
    claimed, freed, group_freed = (sum(row[column] for row in cleaned) for column in (2, 3, 4))
    assert claimed > total - LIMIT
    assert freed > 0.5 * claimed, "while they free, more comes in"
    assert abs(freed - group_freed) < 0.1 * claimed


def test_file_pages_are_no_pressure(tmp_path: Path) -> None:
    with MemoryGroup(LIMIT) as group:
        script = """
        path = sys.argv[2]
        def flood(service):
            with open(path, "wb") as file:
                for _ in range(600):
                    file.write(bytes(1 << 20))
                file.flush()
                os.fsync(file.fileno())
            for _ in range(2):
                with open(path, "rb") as file:
                    while file.read(1 << 20):
                        pass
            with open(sys.argv[1] + "/memory.usage_in_bytes") as file:
                return [int(file.read()), service.state().percent, service.level]
        watch(flood, ("hoard", drop))
        """
        found = ran(group, dedent(script), str(tmp_path / "flood"))
    raw, percent, level = found["result"]
    assert raw > 0.9 * LIMIT, "the group is full of file pages"
    assert percent < 50
    assert (level, found["decisions"]) == ("normal", [])


def test_a_limit_that_is_lowered_is_noticed_and_obeyed() -> None:
    with MemoryGroup(LIMIT) as group:
        script = """
        def work(service):
            fill(1e9, 100 << 20)
            time.sleep(0.3)
            before = service.level
            print("ready", flush=True)
            sys.stdin.readline()
            until(lambda: any(one.action.startswith("clean") for one in service.decisions))
            return [before, len(held), service.state().limit]
        watch(work, ("hoard", drop))
        """
        program = group.start(PREPARED + dedent(script))
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == "ready\n"
        group.limit(160 << 20)
        print(file=program.stdin, flush=True)
        ended = group.ended(program)
    assert (ended.status, ended.killed) == (0, 0), ended.errors
    before, left, limit = ended.result["result"]
    assert before == "normal"
    assert left < 100
    assert limit == 160 << 20


def test_bad_participants_do_not_keep_a_ramp_from_being_survived() -> None:
    with MemoryGroup(LIMIT) as group:
        script = """
        wasted = []
        def allocates(aggressive, reason):
            wasted.append(bytearray(b"x") * (4 << 20))
            del wasted[:-2]
            return 1 << 30
        def raises(aggressive, reason):
            raise ValueError("not today")
        def hangs(aggressive, reason):
            threading.Event().wait()
        watch(lambda _: fill(2e7, 3e8), ("hangs", hangs), ("raises", raises), ("allocates", allocates), ("hoard", drop))
        """
        found = ran(group, dedent(script))
    assert any(row[0].startswith("clean") and row[3] > 10 << 20 for row in found["decisions"])


def test_the_kernel_reports_thresholds_of_use() -> None:
    with MemoryGroup(LIMIT) as group:
        script = """
        def work(service):
            until(lambda: service.state().events == "usage")
        watch(work)
        """
        assert ran(group, dedent(script))["events"] == "usage"


def test_a_quiet_group_is_hardly_looked_at_and_a_sudden_ramp_still_noticed() -> None:
    with MemoryGroup(LIMIT) as group:
        script = """
        def work(service):
            until(lambda: service.state().wait > 1)  # 10 s without a move, from here on the kernel reports
            fill(1e9, 6e8)
            return service.level
        watch(work, ("hoard", drop))
        """
        found = ran(group, dedent(script))
    assert found["result"] != "normal"
