"""Real programs that own executors: how they are started, and how they die."""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, hashlib, os, sys
from plugin_executors import ExecutorsProvider

def shout(word):
    return word.upper()

async def main(function):
    provider = ExecutorsProvider()
    await provider.initialize()
    executor = await provider.create_process_executor(workers=1)
    try:
        print(await executor.run(function, "word"))
    finally:
        await provider.cleanup()
"""
GUARDED = PROGRAM + "if __name__ == '__main__':\n    asyncio.run(main({function}))\n"


def run(*arguments: str, code: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], input=code, capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )


def test_a_script_run_by_path_can_send_its_own_functions(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(GUARDED.format(function="shout"))
    done = run("script.py", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("WORD\n", "", 0)


RETURNING = """
import sys
from plugin_executors import ConcurrencyManager

class Answer:
    pass

class Refusal(Exception):
    pass

def refuse():
    raise Refusal

if __name__ == "__main__":
    assert "multiprocessing" not in sys.modules  # which would prepare for this, too
    manager = ConcurrencyManager()
    assert type(manager.run_in_process_pool(Answer).result()) is Answer
    assert type(manager.run_in_process_pool(refuse).exception()) is Refusal
    manager.close()
"""


def test_results_and_exceptions_may_be_of_the_scripts_own_classes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(RETURNING)
    done = run(str(tmp_path / "script.py"))
    assert done.returncode == 0, done.stderr


CROWDED = """
import os, resource
from plugin_executors.process_pool import ProcessPool

resource.setrlimit(resource.RLIMIT_NOFILE, (1200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
pool = ProcessPool("pool", 1)
print(pool.submit(abs, -1).result())
pool.shutdown()
"""


@pytest.mark.skipif(
    0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1200, reason="the hard limit on open files is below 1200"
)
def test_an_owner_may_have_more_files_open_than_select_can_take() -> None:
    done = run("-c", CROWDED)
    assert done.stdout == "1\n", done.stderr


def test_a_module_run_with_m_can_send_its_own_functions(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(GUARDED.format(function="shout"))
    done = run("-m", "script", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("WORD\n", "", 0)


def test_a_console_script_without_suffix_can_use_processes(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(PROGRAM + "def start():\n    asyncio.run(main(shout))\n")
    script = tmp_path / "application"
    script.write_text(
        "import re, sys\nfrom application import start\nif __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit(start())\n"
    )
    done = run(str(script))
    assert (done.stdout, done.stderr, done.returncode) == ("WORD\n", "", 0)


@pytest.mark.parametrize("arguments", [["-"], ["-c"]])
def test_a_program_from_standard_input_can_send_what_is_importable(arguments: list[str]) -> None:
    code = GUARDED.format(function="str.upper")
    done = run("-", code=code) if arguments == ["-"] else run("-c", code)
    assert (done.stdout, done.stderr, done.returncode) == ("WORD\n", "", 0)


def test_a_function_from_standard_input_is_refused_with_a_way_out() -> None:
    done = run("-", code=GUARDED.format(function="shout"))
    assert done.returncode == 1
    assert "InvalidRequestError: A worker process could not load a task: AttributeError" in done.stderr
    assert "Put the function and the classes of its arguments into a module" in done.stderr


def test_a_script_without_a_guard_ends_with_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PROGRAM + "asyncio.run(main(shout))\n")
    done = run("script.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "WorkerDiedError: executor.process" in done.stderr
    assert "ended with exit code 1: ResourceError: A worker process imports its owner's main program" in done.stderr
    assert "does not guard its start with `if __name__ == '__main__'`" in done.stderr


OWNER = """
import asyncio, os, signal, sys
from plugin_executors import ExecutorsProvider

async def main(code):
    provider = ExecutorsProvider()
    await provider.initialize()
    executor = await provider.create_process_executor(workers=1)
    if "early" not in sys.argv:
        await executor.run(os.getpid)
    running = executor.submit(exec, code)
    print(*(worker.pid for worker in executor.executor.workers_alive()), flush=True)
    await asyncio.wrap_future(running)

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""
TASKS = {
    "waits": "import signal; signal.pause()",
    "ignores signals": "import signal; signal.signal(15, signal.SIG_IGN)\nwhile True: signal.pause()",
    "never gives up the interpreter": "import re; re.match('(a+)+$', 'a' * 64 + 'b')",
}


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], bool]]]:
    """Start an owner; yield it, and what tells whether its worker is gone within ten seconds."""
    command = [sys.executable, "-c", OWNER, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as owner:
        assert owner.stdout is not None
        worker = os.pidfd_open(int(owner.stdout.readline()))
        try:
            yield owner, lambda: bool(select.select([worker], [], [], 10)[0])
        finally:
            owner.kill()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            os.close(worker)


@pytest.fixture
def fifos(tmp_path: Path) -> list[str]:
    """Named pipes; each is opened once by either side, which wait for each other there."""
    paths = [str(tmp_path / name) for name in ("started", "go", "done")]
    for path in paths:
        os.mkfifo(path)
    return paths


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_workers_die_with_an_owner_that_is_killed(fifos: list[str], task: str) -> None:
    with started(f"open({fifos[0]!r}, 'w').close()\n{task}") as (owner, worker_is_gone):
        open(fifos[0]).close()  # the task runs
        owner.send_signal(signal.SIGKILL)
        assert worker_is_gone()


def test_a_worker_that_is_still_starting_dies_with_its_owner() -> None:
    with started(TASKS["ignores signals"], "early") as (owner, worker_is_gone):
        owner.send_signal(signal.SIGKILL)
        assert worker_is_gone()


def test_an_interrupt_of_the_whole_group_is_left_to_the_owner(fifos: list[str]) -> None:
    """As a terminal does it: the worker goes on, the owner unwinds and takes it along."""
    ready, go, done = fifos
    code = f"open({ready!r}, 'w').close(); open({go!r}).close(); open({done!r}, 'w').write('went on')"
    with started(code) as (owner, worker_is_gone):
        open(ready).close()
        os.killpg(owner.pid, signal.SIGINT)
        open(go, "w").close()
        assert Path(done).read_text() == "went on"
        assert worker_is_gone()
        assert owner.wait(10) == -signal.SIGINT


INTERRUPTED = """
import contextlib, random, signal, sys, time, traceback
from framework.errors import ResourceLimitError
from plugin_executors.threads import ThreadPool

def working():
    # a thread that waits for a lock of its own start, which the interrupt left locked, is not the pool's
    frames = [list(traceback.walk_stack(frame)) for frame in sys._current_frames().values()]
    return sum(any(one.f_code is ThreadPool._work.__code__ for one, _ in stack) for stack in frames)

signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(100):
    pool = ThreadPool("pool", 50)
    # threading may make of an interrupt a RuntimeError, which looks as if no thread could be had
    with contextlib.suppress(KeyboardInterrupt, RuntimeError, ResourceLimitError):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
        for _ in range(50):
            pool.submit(time.sleep, 0.0005)
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)
    pool.shutdown(wait=False, cancel_futures=True)
    pool.ended.result(60)
until = time.monotonic() + 30
while (left := working()) and time.monotonic() < until:
    time.sleep(0.01)
print(left)
"""


def test_an_interrupt_of_a_submission_leaves_no_thread() -> None:
    done = run("-c", INTERRUPTED)
    assert done.stdout == "0\n", done.stderr
