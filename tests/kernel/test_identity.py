"""Who a process is, and whether it is certainly dead."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import identity
from framework.identity import Owner

Run = Callable[..., subprocess.CompletedProcess[str]]

TELL = """
import sys
from framework.identity import Owner
sys.stdout.buffer.write(Owner.this(1.5).encode())
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[bytes], Owner]]:
    """A process that lives until it is ended, and who it said that it is."""
    process = subprocess.Popen([sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    owner = Owner.decode(os.read(process.stdout.fileno(), 4096))
    assert owner is not None
    yield process, owner
    process.kill()
    process.communicate()


def test_a_running_process_is_not_gone(child: tuple[subprocess.Popen[bytes], Owner]) -> None:
    assert child[1].pid == child[0].pid
    assert not child[1].is_gone()
    assert not Owner.this().is_gone()


def test_a_stopped_process_is_not_gone(child: tuple[subprocess.Popen[bytes], Owner]) -> None:
    child[0].send_signal(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(child[0].pid, os.WUNTRACED)[1])
    assert not child[1].is_gone()


def test_a_dead_process_is_gone_before_its_parent_has_asked_for_its_exit_code(
    child: tuple[subprocess.Popen[bytes], Owner],
) -> None:
    child[0].kill()
    os.waitid(os.P_PID, child[0].pid, os.WEXITED | os.WNOWAIT)
    assert child[1].is_gone()
    child[0].wait()
    assert child[1].is_gone()


def test_a_number_that_another_process_has_now_is_another_process() -> None:
    me = Owner.this()
    assert dataclasses.replace(me, pidfd=me.pidfd + 1).is_gone()


def test_a_clock_that_counts_differently_makes_nobody_dead() -> None:
    me = Owner.this()
    if me.pidfd == _inode_of(os.getppid()):
        pytest.skip("this Linux gives all descriptors of processes one inode (before 6.9)")
    parent = dataclasses.replace(me, pid=os.getppid(), pidfd=_inode_of(os.getppid()), started=1)
    assert not parent.is_gone()


def _inode_of(pid: int) -> int:
    descriptor = os.pidfd_open(pid)
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def test_who_lived_before_the_machine_was_started_is_gone() -> None:
    assert dataclasses.replace(Owner.this(), boot="another").is_gone()


def test_who_lives_among_other_numbers_may_be_alive() -> None:
    other = dataclasses.replace(Owner.this(), pid_space=1, pid=2**22, pidfd=1)
    assert not other.is_gone()


WITHOUT_DESCRIPTORS = """
import os, resource
from framework.identity import Owner
parent = Owner.decode(bytes.fromhex(os.environ["PARENT"]))
assert not parent.is_gone()
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(parent.is_gone())
"""


def test_without_descriptors_nobody_is_taken_for_dead(run_python: Run) -> None:
    done = run_python(WITHOUT_DESCRIPTORS, PARENT=Owner.this().encode().hex())
    assert done.stdout == "False\n", done.stderr


@given(st.data())
def test_what_was_written_down_is_read_again(data: st.DataObject) -> None:
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=()))
    kinds: dict[str, st.SearchStrategy[Any]] = {"str": text, "int": st.integers(), "float": st.floats(allow_nan=False)}
    fields: dict[str, Any] = {field.name: data.draw(kinds[str(field.type)]) for field in dataclasses.fields(Owner)}
    owner = Owner(**fields)
    assert Owner.decode(owner.encode()) == owner


@given(st.binary())
def test_anything_else_is_nobody(raw: bytes) -> None:
    assert Owner.decode(raw) is None


FORKS = """
import os
from framework import identity
before = identity.token()
pid = os.fork()
os.write(1, b"%r " % (identity.token() == before))
if pid:
    os.waitpid(pid, 0)
else:
    os._exit(0)
"""


def test_a_forked_child_is_another_process(run_python: Run) -> None:
    assert sorted(run_python(FORKS).stdout.split()) == ["False", "True"]
    assert len(identity.token()) == 16
