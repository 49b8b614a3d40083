"""A suite whose subject was forgotten says what to override."""

import subprocess
import sys
from pathlib import Path

import pytest

SUITES = {
    "CollectorContract": "collector",
    "ParticipantContract": "participant",
    "ProviderContract": "provider",
    "StrategyContract": "strategy",
}


@pytest.mark.parametrize("suite", SUITES)
def test_a_forgotten_fixture_is_named(suite: str, tmp_path: Path) -> None:
    file = tmp_path / "test_mine.py"
    file.write_text(f"from framework.testing import {suite}\n\nclass TestMine({suite}):\n    pass\n")

    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", "/dev/null", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1, done.stdout
    assert f"TestMine gives no {SUITES[suite]}; override the fixture `{SUITES[suite]}`." in done.stdout
