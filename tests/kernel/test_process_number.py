"""The number of this process, which is kept, and must be another one in every child."""

import os
import subprocess
import sys

import pytest

from framework import process_number as module
from framework.process_number import process_number

BEHIND_PYTHONS_BACK = """
import ctypes, os, sys
from framework import Ledger
from framework.process_number import process_number

ledger = Ledger(journal="none")
lease = ledger.open("kind.x", "", "me", 0)
assert process_number() == process_number() == os.getpid() == lease.process
child = ctypes.PyDLL(None).fork()  # none of Python's fork handlers runs
if child == 0:
    right = process_number() == process_number() == os.getpid() and lease.borrowed
    os._exit(0 if right and not ledger.open("kind.x", "", "me", 0).borrowed else 1)
status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) or (process_number() != os.getpid()))
"""


def test_a_child_that_c_code_forked_has_a_number_of_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", BEHIND_PYTHONS_BACK], check=False, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_forked_child_has_a_number_of_its_own() -> None:
    script = BEHIND_PYTHONS_BACK.replace("ctypes.PyDLL(None)", "os")
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_where_no_page_is_wiped_the_system_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_page", b"\0")
    monkeypatch.setattr(module, "_number", -1)
    assert process_number() == process_number() == os.getpid()
