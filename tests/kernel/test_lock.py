"""The lock names what was trusted: every change of a plugin's files is seen, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import installed, lock
from framework.errors import PluginError, SettingsError
from framework.manifest import Manifest

Install = Callable[..., Path]


@pytest.fixture
def locked(site: Path, install: Install, tmp_path: Path) -> Callable[[], dict[str, str]]:
    """A function that compares the plugins `one` and `two` with a lock that was written when they were installed."""
    for name in ("one", "two"):
        record(site, install(site, name, "raise SystemExit('imported')"))
    (site / "plugin_one" / "deep").mkdir()
    (site / "plugin_one" / "deep" / "data.bin").write_bytes(b"\0\xff")
    (site / "plugin_one" / "deep" / "\udcff").write_bytes(b"")
    importlib.invalidate_caches()
    path = str(tmp_path / lock.FILE_NAME)
    lock.write(lock.entries([manifest("one"), manifest("two")]), path)
    return lambda: lock.verify([manifest("one"), manifest("two")], path)


def manifest(name: str, **changed: str) -> Manifest:
    texts = {"version": "1.0", "distribution": f"plugin-{name}"} | changed
    return Manifest(name, f"plugin_{name}:Sample", **texts)  # type: ignore[arg-type]  # only text fields


def record(site: Path, info: Path) -> None:
    """Write the RECORD of a distribution as an installer does."""
    name = info.name.partition("-")[0]
    files = [*(file for file in (site / name).rglob("*") if file.is_file()), info / "METADATA"]
    lines = []
    for file in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
        lines.append(f"{file.relative_to(site)},sha256={digest},{file.stat().st_size}")
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,", "../../bin/tool,,", "broken line"]))


def test_what_did_not_change_is_accepted(locked: Callable[[], dict[str, str]], site: Path) -> None:
    assert locked() == {}
    os.utime(site / "plugin_one" / "__init__.py", (1, 1))
    (site / "plugin_one" / "__pycache__").mkdir()
    (site / "plugin_one" / "__pycache__" / "x.pyc").write_bytes(b"cache")
    (site / "plugin_one-1.0.dist-info" / "INSTALLER").write_text("somebody")
    assert locked() == {}
    assert not {"plugin_one", "plugin_two"} & sys.modules.keys()


@pytest.mark.parametrize(
    "change",
    [
        lambda site: (site / "plugin_one" / "__init__.py").write_text("raise SystemExit('imported') "),
        lambda site: (site / "plugin_one" / "deep" / "data.bin").write_bytes(b"\0\xfe"),
        lambda site: (site / "plugin_one" / "deep" / "data.bin").unlink(),
        lambda site: (site / "plugin_one" / "deep" / "data.bin").rename(site / "plugin_one" / "data.bin"),
        lambda site: (site / "plugin_one" / "new.py").write_text(""),
        lambda site: (site / "plugin_one" / "plugin.toml").write_text("#"),
        lambda site: (site / "plugin_one-1.0.dist-info" / "entry_points.txt").write_text("[x]"),
        lambda site: (site / "plugin_one-1.0.dist-info" / "METADATA").write_text("Name: x"),
    ],
)
def test_every_change_of_a_plugins_files_is_refused(
    locked: Callable[[], dict[str, str]], site: Path, change: Callable[[Path], object]
) -> None:
    change(site)
    reasons = locked()
    assert reasons.keys() == {"one"}
    assert reasons["one"].startswith("Plugin 'one' changed since it was locked: its files are others. Write it anew")


def test_a_module_that_the_distribution_brings_besides_its_package_counts(
    locked: Callable[[], dict[str, str]], site: Path, tmp_path: Path
) -> None:
    info = site / "plugin_one-1.0.dist-info"
    (site / "_helper.py").write_text("x = 1")
    (info / "RECORD").write_text((info / "RECORD").read_text() + "\n_helper.py,,")
    path = str(tmp_path / "other.lock")
    lock.write(lock.entries([manifest("one")]), path)
    assert lock.verify([manifest("one")], path) == {}
    (site / "_helper.py").write_text("x = 2")
    assert lock.verify([manifest("one")], path).keys() == {"one"}


def test_another_version_or_distribution_is_named(locked: Callable[[], dict[str, str]], tmp_path: Path) -> None:
    assert locked() == {}
    path = str(tmp_path / lock.FILE_NAME)
    changed = [manifest("one", version="1.1"), manifest("two", distribution="imposter"), manifest("three")]
    reasons = lock.verify(changed, path)
    assert "version 1.0 became 1.1" in reasons["one"]
    assert "distribution plugin-two became imposter" in reasons["two"]
    assert reasons["three"].startswith("Plugin 'three' is not in the lock.")


def test_the_lock_is_the_same_wherever_and_whenever_it_is_written(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for number in range(2):
        site = tmp_path / f"site{number}"
        record(site, install(site, "same"))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(site))
            lock.write(lock.entries([manifest("same")]), str(tmp_path / f"{number}.lock"))
        written.append((tmp_path / f"{number}.lock").read_bytes())
    assert written[0] == written[1]
    assert json.loads(written[0])["plugins"]["same"]["version"] == "1.0"


def test_an_editable_install_counts_with_its_sources(site: Path, install: Install, tmp_path: Path) -> None:
    info = install(site, "linked")
    source = tmp_path / "source"
    source.mkdir()
    (site / "plugin_linked").rename(source / "plugin_linked")
    (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}')
    (site / "_linked.pth").write_text(str(source))
    (info / "RECORD").write_text("_linked.pth,,\n")
    sys.path.append(str(source))
    importlib.invalidate_caches()
    try:
        before = lock.entries([manifest("linked")])
        (site / "_linked.pth").write_text(f"{source}\n")
        assert lock.entries([manifest("linked")]) == before
        (source / "plugin_linked" / "__init__.py").write_text("")
        assert lock.entries([manifest("linked")]) != before
    finally:
        sys.path.remove(str(source))


def test_a_plugin_of_a_folder_counts_with_its_module(tmp_path: Path) -> None:
    file = tmp_path / "plugin_loose.py"
    file.write_text("1")
    (tmp_path / "neighbour.py").write_text("1")
    one = Manifest("loose", "plugin_loose", location=str(file))
    before = lock.entries([one])
    (tmp_path / "neighbour.py").write_text("2")
    assert lock.entries([one]) == before
    file.write_text("2")
    assert lock.entries([one]) != before


def test_a_plugin_in_a_namespace_counts_without_its_neighbours(site: Path) -> None:
    for name in ("mine", "other"):
        (site / "spaced" / name).mkdir(parents=True)
        (site / "spaced" / name / "__init__.py").write_text("")
    importlib.invalidate_caches()
    assert installed.package_of("spaced.mine.plugin") == str(site / "spaced" / "mine")
    assert installed.package_of("spaced.nowhere") == ""
    assert installed.package_of("nowhere.at.all") == ""


def test_a_plugin_whose_files_cannot_be_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"'gone' cannot be locked: its package is not in plain files"):
        lock.entries([manifest("gone")])
    path = str(tmp_path / "x.lock")
    lock.write({"gone": lock.Entry("1.0", "plugin-gone", "0" * 64)}, path)
    assert lock.verify([manifest("gone")], path).keys() == {"gone"}


def test_what_a_link_to_a_folder_leads_to_counts(site: Path, install: Install, tmp_path: Path) -> None:
    install(site, "one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "code.py").write_text("A = 1")
    (site / "plugin_one" / "linked").symlink_to(tmp_path / "elsewhere")
    (site / "plugin_one" / "around").symlink_to(site / "plugin_one")
    (tmp_path / "elsewhere" / "back").symlink_to(site / "plugin_one" / "linked")
    importlib.invalidate_caches()
    path = str(tmp_path / lock.FILE_NAME)
    lock.write(lock.entries([manifest("one")]), path)
    assert lock.verify([manifest("one")], path) == {}
    (tmp_path / "elsewhere" / "code.py").write_text("A = 2")
    assert "its files are others" in lock.verify([manifest("one")], path)["one"]


def test_pipes_in_a_package_are_passed_over(site: Path, install: Install) -> None:
    install(site, "piped")
    importlib.invalidate_caches()
    before = lock.entries([manifest("piped")])
    os.mkfifo(site / "plugin_piped" / "pipe")
    assert lock.entries([manifest("piped")]) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"schema": 1}',
        b'{"schema": 1, "plugins": []}',
        b'{"schema": 1, "plugins": {"x": 1}}',
        b'{"schema": 1, "plugins": {"x": {"version": ""}}}',
        b'{"schema": 2, "plugins": {}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_lock_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "framework.lock"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"framework\.lock (is no lock|has schema 2).*Write it anew"):
        lock.verify([], str(file))


def test_a_lock_that_is_missing_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        lock.read(str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        lock.write({}, str(tmp_path / "none" / "framework.lock"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="cannot be written: Is a directory"):
        lock.write({}, str(tmp_path / "folder"))
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_who_locks_nothing_pays_nothing() -> None:
    code = "import sys, framework.lock, framework.quarantine; print({'hashlib', 'json', 'csv'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
