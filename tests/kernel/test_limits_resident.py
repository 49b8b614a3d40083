"""What a process has of the memory, now and at most; each in a process of its own, which does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from framework import limits

SIZE = 64 << 20


def measured(script: str) -> Any:
    if not limits.resident_bytes():
        pytest.skip("this system does not say what is resident")
    code = f"import json\nfrom framework import limits\nSIZE = {SIZE}\n{dedent(script)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_peak_stays_when_the_memory_is_gone_and_begins_anew_on_request() -> None:
    could, former, anew = measured(
        """
        could, before = limits.reset_peak(), limits.resident_bytes()
        held = bytearray(b"x") * SIZE
        del held
        former = limits.peak_bytes() - before
        limits.reset_peak()
        print(json.dumps([could, former, limits.peak_bytes() - before]))
        """
    )
    assert former > SIZE * 0.9
    if not could:
        pytest.skip("/proc/self/clear_refs cannot be written here")
    assert anew < SIZE * 0.5


def test_trimming_gives_back_what_the_allocator_keeps() -> None:
    (given,) = measured(
        """
        kept = [b"x" * 10_000 for _ in range(5_000)]
        guard = b"x" * 10_000  # at the top of the heap, so that freeing what is below gives nothing back by itself
        full = limits.resident_bytes()
        kept.clear()
        limits.trim()
        print(json.dumps([full - limits.resident_bytes()]))
        """
    )
    assert given > 5_000 * 10_000 * 0.8
