"""Which permission what a plugin does needs, and that the recorder sees it and nothing else."""

import ctypes
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.testing import PERMISSIONS
from framework.testing.permissions import Recorder, recognised

READ, WRITE = os.O_RDONLY, os.O_WRONLY | os.O_CREAT


@pytest.mark.parametrize(
    ("event", "args", "permission"),
    [
        ("open", ("/etc/hosts", "r", READ), ""),
        ("open", ("/etc/hosts", "w", WRITE), "files"),
        ("open", (b"/etc/hosts", None, WRITE), "files"),
        ("open", (7, "w", WRITE), ""),
        ("open", ("/temporary/x", "w", WRITE), ""),
        ("open", ("/temporary", "w", WRITE), ""),
        ("open", ("/temporary-not/x", "w", WRITE), "files"),
        ("open", ("/temporary/../etc/hosts", "w", WRITE), "files"),
        ("open", ("/dev/null", "w", WRITE), ""),
        ("open", ("/dev/shm/x", "w", WRITE), "shared-memory"),
        ("open", ("/x/__pycache__/y.pyc", None, WRITE), ""),
        ("os.rename", ("/temporary/x", "/etc/x", -1, -1), "files"),
        ("os.rename", ("/temporary/x", "/temporary/y", -1, -1), ""),
        ("os.mkdir", ("/etc/x", 0o777, -1), "files"),
        ("os.remove", ("/etc/x", -1), "files"),
        ("os.listdir", ("/etc",), ""),
        ("socket.connect", (None, ("::1", 80, 0, 0)), "network"),
        ("socket.bind", (None, ("0.0.0.0", 0)), "network"),
        ("socket.connect", (None, "/temporary/socket"), ""),
        ("socket.__new__", (None, 2, 1, 0), ""),
        ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0), "network"),
        ("subprocess.Popen", ("true", [], None, None), "processes"),
        ("os.kill", (1, 0), "processes"),
        ("os.putenv", (b"A", b"B"), "environment"),
        ("ctypes.dlopen", ("libc.so.6",), "native-code"),
        ("import", ("os", None, None, None, None), ""),
    ],
)
def test_an_event_needs_the_permission_that_covers_it(event: str, args: tuple[Any, ...], permission: str) -> None:
    assert recognised(event, args, ["/temporary"]) == permission
    assert permission in {"", *PERMISSIONS}


def as_stranger(code: str, **names: Any) -> Callable[[], object]:
    """Return a function of a module that is neither ours nor of the standard library."""
    module = types.ModuleType("stranger")
    vars(module).update(names)
    exec(f"def act():\n    {code}", vars(module))
    act: Callable[[], object] = module.act
    return act


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ("files", "open(path, 'w').close()"),
        ("files", "os.mkdir(path)"),
        ("network", "s = socket.socket(); s.connect_ex(('127.0.0.1', 9)); s.close()"),
        ("processes", "subprocess.run([sys.executable, '-c', ''])"),
        ("environment", "os.environ['FRAMEWORK_KIT'] = '1'"),
        ("native-code", "ctypes.CDLL(None)"),
    ],
)
def test_what_is_really_done_is_seen(
    permission: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("FRAMEWORK_KIT", "0")
    modules = {"os": os, "socket": socket, "subprocess": subprocess, "sys": sys, "ctypes": ctypes}
    act = as_stranger(code, path=str(tmp_path / "outside"), **modules)

    with Recorder() as recorder:
        thread = threading.Thread(target=act)  # what a plugin does in a thread counts too
        thread.start()
        thread.join()

    assert set(recorder.seen) == {permission}
    assert recorder.beyond([permission]) == {}
    assert recorder.beyond([]).keys() == {permission}


def test_what_a_c_module_did_is_seen_while_it_is_there() -> None:
    with Recorder() as recorder, tempfile.TemporaryFile(dir="/dev/shm") as file:
        recorder.seen.clear()  # the audit event of the file itself
        recorder.look()
        nothing = dict(recorder.seen)
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 4096):
            recorder.look()

    assert nothing == {}
    assert recorder.seen.keys() == {"shared-memory"}


def test_only_what_happens_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    write = as_stranger("open(path, 'w').close()", path=str(tmp_path / "outside"))

    write()
    with Recorder() as recorder:
        pass
    write()
    with Recorder(str(tmp_path)) as tolerant:
        write()

    assert recorder.seen == {}
    assert tolerant.seen == {}
