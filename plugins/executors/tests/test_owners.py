"""Real programs that own executors: how they are started, and how they die."""

import os
import select
import signal
import subprocess
import sys
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
    assert "by exit code 1" in done.stderr
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


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_workers_die_with_an_owner_that_is_killed(tmp_path: Path, task: str) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    code = f"open({fifo!r}, 'w').close()\n{task}"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner, owner.stdout:
        worker = int(owner.stdout.readline())
        with os.fdopen(os.pidfd_open(worker)) as gone:
            open(fifo).close()  # the task runs
            owner.send_signal(signal.SIGKILL)
            died = bool(select.select([gone], [], [], 10)[0])
            if not died:
                os.kill(worker, signal.SIGKILL)
    assert died


def test_a_worker_that_is_still_starting_dies_with_its_owner() -> None:
    command = [sys.executable, "-c", OWNER, TASKS["ignores signals"], "early"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        with os.fdopen(os.pidfd_open(int(owner.stdout.readline()))) as gone:
            owner.send_signal(signal.SIGKILL)
            assert select.select([gone], [], [], 10)[0]


def test_an_interrupt_of_the_whole_group_is_left_to_the_owner(tmp_path: Path) -> None:
    """As a terminal does it: the worker goes on, the owner unwinds and takes it along."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    code = f"open({fifo!r}, 'w').close(); import time; time.sleep(0.5); open({fifo!r}, 'w').write('went on')"
    command = [sys.executable, "-c", OWNER, code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        with os.fdopen(os.pidfd_open(int(owner.stdout.readline()))) as gone:
            open(fifo).close()
            os.killpg(owner.pid, signal.SIGINT)
            assert Path(fifo).read_text() == "went on"
            assert select.select([gone], [], [], 10)[0]
        assert owner.wait(10) == -signal.SIGINT
