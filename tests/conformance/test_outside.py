"""What a suite's own fixtures make outside of the process is known to be theirs, whichever test is the first."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import os
import uuid

import pytest

from framework.testing.outside import segments
from framework.testing.surroundings import Surroundings


class TestMine(Surroundings):
    @pytest.fixture
    def segment(self):
        path = f"/dev/shm/framework-kit-{uuid.uuid4()}"
        open(path, "x").close()
        yield path
        os.unlink(path)

    def test_it_is_known(self, segment):
        assert segment in segments()
"""


def test_what_a_fixture_made_before_the_first_test_is_known(tmp_path: Path) -> None:
    file = tmp_path / "test_mine.py"
    file.write_text(TESTS)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
