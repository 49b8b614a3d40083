"""Forked children get fresh pools, and never touch their parent's."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, threading, traceback
from plugin_executors import ConcurrencyManager
from plugin_executors.threads import ThreadPool
from framework.errors import ResourceError

def child(manager, own, running):
    assert manager.run_in_thread_pool(os.getpid).result(30) == os.getpid()
    worker = manager.run_in_process_pool(os.getppid)
    assert worker.result(30) == os.getpid()
    try:
        own.submit(abs, -1)
    except ResourceError as error:
        assert "belongs to the process that made it" in str(error), error
    else:
        raise AssertionError("the parent's pool took a task")
    manager.close()

def main():
    manager, own = ConcurrencyManager(), ThreadPool("own", 2)
    gate = threading.Event()
    running = [manager.run_in_thread_pool(gate.wait, 60), own.submit(gate.wait, 60)]
    worker = manager.run_in_process_pool(os.getpid).result(30)
    for _ in range(3):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                child(manager, own, running)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
    gate.set()
    assert [future.result(30) for future in running] == [True, True]
    assert manager.run_in_process_pool(os.getpid).result(30) == worker, "the child took the parent's worker along"
    manager.close()
    own.shutdown()
    print("done")

if __name__ == "__main__":
    main()
"""


def test_a_child_forked_while_threads_run_has_pools_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


ORPHANS = """
import os, signal
from plugin_executors import ConcurrencyManager

def main():
    manager = ConcurrencyManager(setting=lambda name: 4 if name.endswith("_cpu_workers") else None)
    futures = [manager.run_in_process_pool(exec, "import signal\\nwhile True: signal.pause()") for _ in range(4)]
    child = os.fork()  # has copies of the pipes, but closes them
    if not child:
        signal.pause()
    print(child, *(worker.pid for worker in manager.process_pool.workers_alive()), flush=True)
    signal.pause()

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfds to follow processes that are not children")
def test_no_worker_outlives_a_killed_owner_even_beside_its_forked_child(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(ORPHANS)
    command = [sys.executable, str(tmp_path / "program.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child, *workers = map(os.pidfd_open, map(int, owner.stdout.readline().split()))
        try:
            assert len(workers) == 4
            owner.kill()
            for worker in workers:
                assert select.select([worker], [], [], 30)[0], "a worker outlived its owner"
            assert not select.select([child], [], [], 0)[0]
        finally:
            for process in (child, *workers):
                signal.pidfd_send_signal(process, signal.SIGKILL) if not select.select([process], [], [], 0)[
                    0
                ] else None
                os.close(process)
