"""The doctors: each plugin is examined in a process of its own, whatever it does there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]
Examined = Callable[..., dict[str, Any]]

SAMPLE = "from framework import Plugin\nclass Sample(Plugin):\n    pass\n"
BAD = {
    "raises": ("raise ValueError('so bad')", "raised", "ValueError: so bad."),
    "interrupts": ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt."),
    "syntax": ("def", "raised", "SyntaxError"),
    "quits": ("raise SystemExit(3)", "exit", "SystemExit: 3."),
    "vanishes": ("import os; os._exit(7)", "exit", "It ended the interpreter with code 7."),
    "aborts": ("import os; os.abort()", "signal", "It was ended by SIGABRT, at "),
    "crashes": ("import ctypes; ctypes.string_at(0)", "signal", "It was ended by SIGSEGV, at "),
    "hangs": ("import time\nwhile True: time.sleep(1)", "timeout", "It did not end within 4 s, at "),
    "swallows": ("x = bytearray(2 << 30)", "memory", "MemoryError."),
    "empty": ("", "raised", "has no 'Sample'"),
    "constructs": (SAMPLE + "    def __init__(self): 1 / 0\n", "raised", "ZeroDivisionError"),
}


@pytest.fixture
def doctor(program: Program) -> Examined:
    """A function that returns what the doctor says of the one plugin that is enabled."""

    def doctor(status: int = 0, timeout: int = 15) -> dict[str, Any]:
        done = program("plugins", "doctor", "--timeout", str(timeout), "--memory", "1024", "-o", "json")
        assert done.returncode == status, done.stderr
        (row,) = json.loads(done.stdout)
        found: dict[str, Any] = row
        return found

    return doctor


@pytest.fixture
def examined(doctor: Examined, site: Path, home: Path, install: Install) -> Examined:
    """A function that installs a plugin with this code, enables it, and returns what the doctor says of it."""

    def examined(code: str, name: str = "odd", status: int = 0, timeout: int = 15, **options: Any) -> dict[str, Any]:
        install(site, name, code, **options)
        (home / "framework.yaml").write_text(f"plugins: {{{name}: {{}}}}\n")
        return doctor(status, timeout)

    return examined


@pytest.mark.parametrize("kind", BAD)
def test_whatever_a_plugin_does_the_doctor_says_it(examined: Examined, kind: str) -> None:
    code, outcome, reason = BAD[kind]
    row = examined(code, kind, status=6, timeout=4 if kind == "hangs" else 15)
    assert row["outcome"] == outcome
    assert reason in row["reason"]
    if " at " in reason:
        assert f"plugin_{kind}/__init__.py:" in row["reason"]
    assert row["findings"][0] == row["reason"]


def test_a_fork_is_seen(examined: Examined) -> None:
    row = examined("import os\nif os.fork() == 0: os._exit(0)\n" + SAMPLE)
    assert (row["observed"], row["undeclared"]) == ({"processes": ["os.fork"]}, ["processes"])


def test_a_good_plugin_is_measured(examined: Examined, site: Path) -> None:
    (site / "slow_module.py").write_text("import time; time.sleep(0.3)\n")
    row = examined("import slow_module, wave, sched\n" + SAMPLE)
    assert (row["outcome"], row["reason"], row["findings"]) == ("ok", "", [])
    assert row["import_ms"] >= 300
    assert row["modules"] >= 4
    assert row["slowest"][0].startswith("slow_module 3")
    assert len(row["slowest"]) == 3


def test_side_effects_are_said(examined: Examined) -> None:
    code = """
import os, signal, sys
sys.path.append("/x")
signal.signal(signal.SIGHUP, print)
os.environ["TOKEN"] = "shh"
"""
    row = examined(code + SAMPLE)
    sentences = [
        "It added '/x' to sys.path.",
        "It replaced the handler of SIGHUP.",
        "It changed the environment: 'TOKEN'.",
    ]
    assert row["changes"] == sentences
    undeclared = "It did what permission 'environment' covers, which it does not declare: os.putenv: b'TOKEN'."
    assert row["findings"] == [undeclared, *sentences]
    assert "shh" not in json.dumps(row)


def test_permissions_are_observed_and_compared_with_those_declared(examined: Examined, home: Path) -> None:
    code = f"""
import ctypes, socket, subprocess, sys
open({str(home / "written")!r}, "w").close()
subprocess.run([sys.executable, "-c", "", "a secret"])
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))
ctypes.CDLL("libc.so.6")
open("/dev/shm/odd-doctor-test", "w").close()
__import__("os").remove("/dev/shm/odd-doctor-test")
"""
    extra = '[[permissions]]\nname = "files"\nreason = "writes"\n[[permissions]]\nname = "threads"\nreason = "none"'
    row = examined(code + SAMPLE, extra=extra)
    assert row["declared"] == ["files", "threads"]
    assert row["observed"]["files"] == [f"open: {home / 'written'}"]
    assert row["observed"]["network"] == ["socket.connect: ('127.0.0.1', 9)"]
    assert row["observed"]["processes"][0] == f"subprocess.Popen: {sys.executable}"
    assert row["undeclared"] == ["native-code", "network", "processes", "shared-memory"]
    declares = "which it does not declare"
    assert row["findings"][0] == f"It did what permission 'native-code' covers, {declares}: ctypes.dlopen: libc.so.6."
    assert "a secret" not in json.dumps(row)


def test_what_a_plugin_leaves_behind_is_ended(examined: Examined, home: Path) -> None:
    code = f"""
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(home / "child")!r}, "w").write(str(child.pid))
threading.Thread(target=threading.Event().wait, name="stays").start()
"""
    row = examined(code + SAMPLE)
    assert row["outcome"] == "ok"
    assert row["changes"] == ["It left a thread running: 'stays'."]
    number = (home / "child").read_text()
    deadline = time.monotonic() + 10
    while _alive(number):
        assert time.monotonic() < deadline


def _alive(number: str) -> bool:
    try:
        with open(f"/proc/{number}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2][:1] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def test_output_without_end_is_no_obstacle(examined: Examined) -> None:
    row = examined("import os\nfor _ in range(200): os.write(2, b'x' * 65536); os.write(1, b'y' * 65536)\n" + SAMPLE)
    assert row["outcome"] == "ok"


def test_files_that_were_changed_or_removed_are_named(examined: Examined, doctor: Examined, site: Path) -> None:
    row = examined(SAMPLE)
    assert row["files"]["skipped"] == "Its installer recorded no hashes."
    lines = []
    for name in ("plugin_odd/__init__.py", "plugin_odd/plugin.toml", "plugin_odd-1.0.dist-info/METADATA"):
        digest = base64.urlsafe_b64encode(hashlib.sha256((site / name).read_bytes()).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},1")
    record = "\n".join([*lines, "plugin_odd-1.0.dist-info/RECORD,,"])
    (site / "plugin_odd-1.0.dist-info" / "RECORD").write_text(record)
    assert doctor()["files"] == {"compared": 3, "problems": [], "skipped": ""}
    (site / "plugin_odd" / "__init__.py").write_text(f"{SAMPLE}#")
    (site / "plugin_odd-1.0.dist-info" / "RECORD").write_text(f"{record}\nplugin_odd/gone.py,sha256=x,1")
    row = doctor(status=6)
    assert row["outcome"] == "ok"
    assert row["files"]["problems"] == row["findings"]
    assert row["findings"] == [
        "The file plugin_odd/__init__.py was changed after it was installed.",
        "The file plugin_odd/gone.py is missing.",
    ]


def test_an_editable_install_is_not_compared(examined: Examined, doctor: Examined, site: Path) -> None:
    examined(SAMPLE)
    (site / "plugin_odd-1.0.dist-info" / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
    assert doctor()["files"]["skipped"] == "It is installed editable: its files are meant to change."


def test_a_settings_model_that_cannot_be_imported_is_found(examined: Examined) -> None:
    row = examined(SAMPLE, extra='settings = "plugin_odd:Nothing"', status=6)
    assert "names 'plugin_odd:Nothing', which is not there" in row["reason"]


def test_plugins_are_named_and_unknown_or_broken_ones_are_told(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    install(site, "fine", SAMPLE)
    install(site, "dented", SAMPLE, manifest="nonsense")
    (home / "framework.yaml").write_text("plugins: {dented: {}}\n")
    done = program("plugins", "doctor", "fine", "fine", "-o", "json")
    assert (done.returncode, [one["name"] for one in json.loads(done.stdout)]) == (0, ["fine"])
    done = program("plugins", "doctor", "-o", "json")
    assert done.returncode == 6
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["outcome"]) == ("dented", "broken")
    assert "is not TOML" in row["reason"]
    done = program("plugins", "doctor", "fin")
    assert done.returncode == 2
    assert "Did you mean 'fine'?" in done.stderr


def test_the_machine_is_described(program: Program, home: Path) -> None:
    done = program("doctor", "-o", "json")
    assert done.returncode == 0, done.stderr
    facts = {one["name"]: one for one in json.loads(done.stdout)}
    names = ("python", "system", "pidfd", "memfd", "cgroup", "state directory", "cache directory", "file descriptors")
    assert set(names) | {"O_TMPFILE", "extended attributes", "journal of leases"} <= facts.keys()
    assert facts["python"]["ok"]
    assert facts["state directory"]["value"] == str(home / ".local" / "state" / "framework")
    assert facts["state directory"]["ok"]
    assert facts["journal of leases"]["value"] == str(home / ".local" / "state" / "framework" / "leases")
    assert facts["journal of leases"]["ok"]
    assert all(one["ok"] or one["note"] for one in facts.values())
    assert not (home / ".local").exists()


def test_a_home_that_cannot_be_used_is_a_fact(program: Program, home: Path) -> None:
    (home / "file").write_text("")
    done = program("doctor", "-o", "json", XDG_STATE_HOME=str(home / "file" / "below"))
    fact = next(one for one in json.loads(done.stdout) if one["name"] == "state directory")
    assert (done.returncode, fact["ok"], fact["note"]) == (0, False, f"{home / 'file'} is no directory.")


def journal(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = next(one for one in json.loads(done.stdout) if one["name"] == "journal of leases")
    return found


def test_it_is_said_why_no_journal_can_be_kept(program: Program, home: Path) -> None:
    place = home / "state" / "framework" / "leases"
    place.mkdir(parents=True, mode=0o700)
    place.chmod(0o720)
    fact = journal(program("doctor", "-o", "json", XDG_STATE_HOME=str(home / "state")))
    assert (fact["ok"], fact["value"]) == (False, "none")
    assert "has mode 720" in fact["note"]
    assert "kill -9 leaves what is held" in fact["note"]

    place.rmdir()
    place.touch()
    fact = journal(program("doctor", "-o", "json", XDG_STATE_HOME=str(home / "state")))
    assert not fact["ok"]
    assert "not a directory" in fact["note"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_a_reason(environment: dict[str, str], home: Path) -> None:
    (home / "state").mkdir()
    script = os.path.join(os.path.dirname(sys.executable), "framework")
    fill = "mount -t tmpfs -o size=64k,mode=700 none state && head -c 65536 /dev/zero > state/full"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{fill}; {script} doctor -o json"],
        cwd=home,
        env={**environment, "XDG_STATE_HOME": str(home / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    fact = journal(done)
    assert (fact["ok"], fact["note"]) == (
        False,
        f"{home / 'state'} is full: what would have to be written down is not created.",
    )
