"""Tasks that end their workers: what it costs, and what is said."""

import json
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_executors import Death, WorkerDiedError
from plugin_executors.deaths import oom_kills
from plugin_executors.process_pool import ProcessPool

PROGRAM = """
import ctypes, json, os, signal, sys
from plugin_executors import ConcurrencyManager, WorkerDiedError

def sigkill():
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    ctypes.string_at(0)

def leave():
    os._exit(7)

def devour():
    taken = []
    while True:
        taken.append(bytearray(b"x") * (8 << 20))

def task(cause, number):
    if number == 42:
        globals()[cause]()
    return number

def main(cause, how):
    manager = ConcurrencyManager()
    if how == "submit":
        futures = [manager.run_in_process_pool(task, cause, number) for number in range(100)]
        errors = [error for future in futures if (error := future.exception())]
        values = [future.result() for future in futures if not future.exception()]
    else:
        found = list(manager.map_tasks_in_process_pool(task, [cause] * 100, range(100), outcomes=True))
        errors = [one.error for one in found if one.error]
        values = [one.value for one in found if not one.error]
    assert all(isinstance(error, WorkerDiedError) for error in errors), errors
    again = manager.run_in_process_pool(task, cause, 1000).result()
    manager.close()
    (error,) = errors
    told = {"text": str(error), "signal": error.signal, "returncode": error.returncode, "oom": error.out_of_memory}
    print(json.dumps({"values": values, "again": again, "deaths": len(error.deaths), **told}))

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
CAUSES = {"sigkill": -signal.SIGKILL, "segfault": -signal.SIGSEGV, "leave": 7}


def run(folder: Path, *arguments: str, group: Path | None = None) -> dict[str, Any]:
    script = folder / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), *arguments]
    if group is not None:
        command = ["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("how", ["submit", "map"])
@pytest.mark.parametrize("cause", CAUSES)
def test_one_of_a_hundred_tasks_that_kills_its_worker_costs_one_result(tmp_path: Path, cause: str, how: str) -> None:
    found = run(tmp_path, cause, how)
    assert found["values"] == [number for number in range(100) if number != 42]
    assert found["again"] == 1000
    assert (found["returncode"], found["deaths"], found["oom"]) == (CAUSES[cause], 3, False)
    assert f"task('{cause}', 42) was tried 3 times and ended its worker" in found["text"]


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 64 MiB, of either version, below that of this process."""
    place = _memory_group()
    if place is None:
        pytest.skip("needs a control group for memory in which groups can be made")
    group = place / f"framework-test-{uuid.uuid4().hex}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a control group: {error}")
    limit = next((group / name for name in ("memory.max", "memory.limit_in_bytes") if (group / name).exists()), None)
    try:
        if limit is None:
            pytest.skip("the group has no limit of memory")
        limit.write_text(str(64 << 20))
        yield group
    finally:
        group.rmdir()


def _memory_group() -> Path | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/memory{path}")
        if not controllers and Path(f"/sys/fs/cgroup{path}/memory.max").exists():
            return Path(f"/sys/fs/cgroup{path}")
    return None


@pytest.mark.parametrize("how", ["submit", "map"])
def test_a_task_that_takes_too_much_memory_costs_one_result_and_is_told_apart(
    tmp_path: Path, small_group: Path, how: str
) -> None:
    found = run(tmp_path, "devour", how, group=small_group)
    assert len(found["values"]) >= 99
    assert found["again"] == 1000
    assert (found["signal"], found["oom"]) == ("SIGKILL", True)
    assert "task('devour', 42)" in found["text"]
    assert "ended by SIGKILL (out of memory). Give the task less to do at once" in found["text"]


def test_a_task_is_tried_again_by_another_worker(tmp_path: Path) -> None:
    """It kills its worker twice, and comes through the third time."""
    pool = ProcessPool("pool", 1)
    code = (
        f"import os, signal\nos.mkdir({str(tmp_path)!r} + '/' + str(len(os.listdir({str(tmp_path)!r}))))\n"
        f"len(os.listdir({str(tmp_path)!r})) < 3 and signal.raise_signal(signal.SIGKILL)"
    )
    assert pool.submit(exec, code).result(60) is None
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    pool.shutdown()


def test_a_limit_of_one_attempt_tries_nothing_again(tmp_path: Path) -> None:
    pool = ProcessPool("pool", 1, attempts=1)
    error = pool.submit(exec, f"import os\nos.mkdir({str(tmp_path)!r} + '/tried'); os._exit(3)").exception(60)
    assert isinstance(error, WorkerDiedError)
    assert (error.returncode, error.signal, len(error.deaths)) == (3, None, 1)
    assert "was tried once and ended its worker: worker" in str(error)
    assert "raise an exception instead of calling os._exit()" in str(error)
    pool.shutdown()


class Fatal:
    """Ends whatever loads it, but for its owner, where it only fails."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"import os\nif os.getpid() != {os.getpid()}: os._exit(7)\nraise ValueError",)


def test_an_argument_that_ends_its_worker_is_not_loaded_by_the_owner() -> None:
    pool = ProcessPool("pool", 1, attempts=2)
    error = pool.submit(divmod, [1, "two"], Fatal()).exception(60)
    assert isinstance(error, WorkerDiedError)
    assert (error.returncode, len(error.deaths)) == (7, 2)
    assert "divmod([1, 'two'], exec(" in str(error)
    pool.shutdown()


def test_an_idle_worker_that_is_killed_costs_nothing() -> None:
    pool = ProcessPool("pool", 1, attempts=1)
    first = pool.submit(os.getpid).result(60)
    with os.fdopen(os.pidfd_open(first)) as gone:
        os.kill(first, signal.SIGKILL)
        assert select.select([gone], [], [], 60)[0]
    assert pool.submit(os.getpid).result(60) not in {first, os.getpid()}
    pool.shutdown()


def test_a_worker_that_closes_its_pipes_is_replaced() -> None:
    pool = ProcessPool("pool", 1, attempts=1)
    error = pool.submit(exec, "import os, time\nos.closerange(3, 100)\ntime.sleep(600)").exception(60)
    assert isinstance(error, WorkerDiedError)
    assert pool.submit(abs, -1).result(60) == 1
    pool.shutdown()


def test_a_child_of_a_worker_does_not_hide_its_death(tmp_path: Path) -> None:
    """It inherits the worker's pipes by fork, and must not keep them open."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    pool = ProcessPool("pool", 1, attempts=1)
    code = (
        "import os, signal\nif os.fork(): os._exit(9)\n"
        f"with open({fifo!r}, 'w') as file: file.write(str(os.getpid()))\n"
        "signal.alarm(60)\nsignal.pause()"
    )
    error = pool.submit(exec, code).exception(30)
    with open(fifo) as file:
        os.kill(int(file.read()), signal.SIGKILL)  # it lived until here
    assert isinstance(error, WorkerDiedError)
    assert error.returncode == 9
    pool.shutdown()


@pytest.mark.parametrize(
    ("death", "text"),
    [
        (Death(7, -9, out_of_memory=True), "worker 7 ended by SIGKILL (out of memory)"),
        (Death(7, -9, out_of_memory=False), "worker 7 ended by SIGKILL"),
        (Death(7, -64 - 3, out_of_memory=False), "worker 7 ended by signal 67"),
        (Death(7, 3, out_of_memory=False, reason="it said so."), "worker 7 ended with exit code 3: it said so"),
        (Death(7, None, out_of_memory=False), "worker 7 ended for an unknown cause"),
    ],
)
def test_a_death_says_how_it_came(death: Death, text: str) -> None:
    assert str(death) == text


def test_kills_are_counted_in_the_own_group_of_either_version(tmp_path: Path) -> None:
    for name, text in {
        "proc/self/cgroup": "4:memory:/a/b\n0::/x/y\n",
        "proc/self/mountinfo": (
            "1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "2 0 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        ),
        "sys/fs/cgroup/memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 100\n",
        "sys/fs/cgroup/memory/a/b/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "sys/fs/cgroup/unified/x/memory.events": "oom 9\noom_kill 9\n",
        "sys/fs/cgroup/unified/x/y/memory.events": "low 0\noom 7\noom_kill 5\noom_group_kill 0\n",
        "sys/fs/cgroup/unified/x/y/memory.events.local": "low 0\noom 7\noom_kill 3\noom_group_kill 0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(str(tmp_path)) == 2 + 3
    assert oom_kills(str(tmp_path / "nowhere")) == 0
