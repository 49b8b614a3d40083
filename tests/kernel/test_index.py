"""An index never answers other than the disk would, whatever happens to it or to what is installed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework import discovery
from framework.discovery import GROUP, Discovery, index, store
from framework.discovery.found import Remembered

Install = Callable[..., Path]
AHEAD = 10_000_000_000


def ahead() -> int:
    """A clock for which everything on the disk has been as it is for ten seconds."""
    return time.time_ns() + AHEAD


def tick(folder: Path) -> None:
    """Return when the file system's clock has moved on, so that the next change gets another time stamp."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        os.utime(probe)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def indexed(cache: Path, *sites: Path, clock: Callable[[], int] = ahead) -> Discovery:
    return discovery.discover([str(one) for one in sites], index=True, cache=str(cache), clock=clock)


def everything(found: Discovery) -> tuple[object, ...]:
    return dict(found.manifests), found.faults, found.bundle, found.claims, found.first_party()


def as_on_disk(cache: Path, *sites: Path) -> bool:
    plain = discovery.discover([str(one) for one in sites], index=False)
    assert everything(indexed(cache, *sites)) == everything(plain)
    return True


def file_of(cache: Path, *sites: Path) -> Path:
    return cache / store.name(tuple(str(one) for one in sites))


def remembered(cache: Path, *sites: Path) -> index.Index:
    """Return the index as the next interpreter reads it."""
    raw = file_of(cache, *sites).read_bytes()
    found = index.Index.decode(raw, tuple(str(one) for one in sites), lambda: raw)
    assert found is not None
    return found


@pytest.fixture
def known(site: Path, install: Install, cache: Path) -> Path:
    """A folder with three plugins and a stranger, whose index is written and fits."""
    for name in ("one", "two", "three"):
        install(site, name, "raise SystemExit('imported')\n", extra=f'[provides]\nkinds = ["{name}.a"]')
    install(site, "other", distribution="stranger", entry_points="[console_scripts]\nx = y:z\n")
    assert as_on_disk(cache, site)
    assert remembered(cache, site).current()
    tick(site.parent)
    return site


def test_a_fitting_index_answers_for_one_plugin_without_reading_the_rest(known: Path, cache: Path) -> None:
    code = (
        "import sys\n"
        "from framework.discovery import discover\n"
        f"found = discover([{str(known)!r}], index=True, cache={str(cache)!r})\n"
        "print(found.manifests['two'].capabilities, 'two' in found.manifests)\n"
        "print([one for one in ('framework.discovery.scan', 'importlib_metadata', 'tomllib') if one in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["('two.a',) True", "[]"]


@pytest.mark.parametrize("looks", ["pass", "found.manifests['two']", "list(found.manifests.values()), found.faults"])
def test_a_fitting_index_is_read_without_heavy_imports(known: Path, cache: Path, looks: str) -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from framework.discovery import discover\n"
        f"found = discover([{str(known)!r}], index=True, cache={str(cache)!r})\n"
        f"{looks}\n"
        "print(*sorted({one.partition('.')[0] for one in set(sys.modules) - before}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "typing",
        "re",
        "enum",
        "dataclasses",
        "inspect",
        "pydantic",
        "opentelemetry",
        "rich",
        "packaging",
        "pluggy",
        "tomllib",
    }
    assert heavy & set(done.stdout.split()) == set()
    assert "framework" in done.stdout.split()


def _change_manifest(site: Path, install: Install) -> None:
    with (site / "plugin_two" / "plugin.toml").open("r+") as file:
        content = file.read().replace("two.a", "two.b")
        file.seek(0)
        file.write(content)


def _keep_time(site: Path, install: Install) -> None:
    file = site / "plugin_two" / "plugin.toml"
    was = file.stat()
    _change_manifest(site, install)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def _change_entry(site: Path, install: Install) -> None:
    (site / "plugin_two-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\nzwei = plugin_two:Sample\n")


def _change_metadata(site: Path, install: Install) -> None:
    with (site / "plugin_two-1.0.dist-info" / "METADATA").open("a") as file:
        file.write("\n")
    (site / "plugin_two-1.0.dist-info" / "METADATA").write_text("Name: plugin-two\nVersion: 9\n")


def _lose_metadata(site: Path, install: Install) -> None:
    (site / "plugin_two-1.0.dist-info" / "METADATA").unlink()


def _lose_manifest(site: Path, install: Install) -> None:
    (site / "plugin_two" / "plugin.toml").unlink()


def _lose_package(site: Path, install: Install) -> None:
    shutil.rmtree(site / "plugin_two")


def _uninstall(site: Path, install: Install) -> None:
    _lose_package(site, install)
    shutil.rmtree(site / "plugin_two-1.0.dist-info")


def _reinstall(site: Path, install: Install) -> None:
    _uninstall(site, install)
    install(site, "two", version="1.0", extra='description = "New."')


def _swap_package(site: Path, install: Install) -> None:
    new = site.parent / "elsewhere"
    install(new, "two", extra='description = "New."')
    _lose_package(site, install)
    (site / "plugin_two").symlink_to(new / "plugin_two")


def _stranger_joins(site: Path, install: Install) -> None:
    (site / "stranger-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\nother = plugin_other:Sample\n")


def _stranger_is_replaced(site: Path, install: Install) -> None:
    file = site / "stranger-1.0.dist-info" / "new"
    file.write_text(f"[{GROUP}]\nother = plugin_other:Sample\n")
    file.rename(file.with_name("entry_points.txt"))


def _rival(site: Path, install: Install) -> None:
    install(site, "two", distribution="rival")


CHANGES = [
    *(_change_manifest, _keep_time, _change_entry, _change_metadata, _lose_metadata, _lose_manifest, _lose_package),
    *(_uninstall, _reinstall, _swap_package, _stranger_joins, _stranger_is_replaced, _rival),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_whoever_asks_for_everything(
    known: Path, cache: Path, install: Install, change: Callable[[Path, Install], None]
) -> None:
    before = everything(indexed(cache, known))
    change(known, install)
    assert as_on_disk(cache, known)
    assert everything(indexed(cache, known)) != before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["two", "zwei", "other", "one"])
def test_a_change_is_seen_by_whoever_asks_for_one_plugin(
    known: Path, cache: Path, install: Install, change: Callable[[Path, Install], None], name: str
) -> None:
    change(known, install)
    plain = discovery.discover([str(known)], index=False)
    assert indexed(cache, known).manifests.get(name) == plain.manifests.get(name)
    assert (name in indexed(cache, known).manifests) == (name in plain.manifests)


def test_a_package_that_comes_to_lie_before_another_is_seen(tmp_path: Path, cache: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    install(second, "one")
    assert as_on_disk(cache, first, second)
    tick(tmp_path)
    (first / "plugin_one").mkdir()
    assert as_on_disk(cache, first, second)
    tick(tmp_path)
    (first / "plugin_one" / "__init__.py").touch()
    assert as_on_disk(cache, first, second)
    assert indexed(cache, first, second).manifests["one"].path == ""


def test_a_missing_module_that_appears_anywhere_is_seen(tmp_path: Path, cache: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    install(first, "one", entry_points=f"[{GROUP}]\none = acme.one:Sample\n")
    assert len(indexed(cache, first, second).faults) == 1
    for folder in (second / "acme", second / "acme" / "one"):
        tick(tmp_path)
        folder.mkdir()
        assert as_on_disk(cache, first, second)
    tick(tmp_path)
    (second / "acme" / "one" / "__init__.py").touch()
    assert as_on_disk(cache, first, second)
    assert indexed(cache, first, second).faults == []


def test_what_changed_a_moment_ago_is_not_remembered(site: Path, install: Install, cache: Path) -> None:
    install(site, "one")
    assert indexed(cache, site, clock=time.time_ns).manifests.keys() == {"one"}
    kept = remembered(cache, site)
    assert (kept.lasting, kept.roots, [one.record for one in kept.groups]) == (False, (None,), [b""])
    (site / "plugin_one" / "plugin.toml").write_text("broken")  # within the same tick or not, it is seen
    assert [one.name for one in indexed(cache, site, clock=time.time_ns).faults] == ["one"]


def test_an_index_is_not_written_for_a_folder_that_is_still_changing(
    known: Path, cache: Path, install: Install
) -> None:
    before = file_of(cache, known).read_bytes()
    install(known, "four")
    assert "four" in indexed(cache, known, clock=time.time_ns).manifests
    assert file_of(cache, known).read_bytes() == before
    assert "four" in indexed(cache, known).manifests
    assert "four" in remembered(cache, known).names


def test_a_rival_that_is_installed_in_the_place_of_another_is_seen_at_once(
    known: Path, install: Install, cache: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    install(second, "four", distribution="guest")
    assert as_on_disk(cache, known, second)
    assert remembered(cache, known, second).current()
    tick(tmp_path)
    shutil.rmtree(second / "guest-1.0.dist-info")
    install(second, "two", distribution="guest")
    assert indexed(cache, known, second).manifests.get("two") is None


OPERATIONS = ["install", "uninstall", "upgrade", "toml", "break", "entry", "metadata", "module", "join", "touch"]


def _operate(what: str, site: Path, name: str, number: int, install: Install) -> None:
    infos = sorted(site.glob(f"plugin_{name}-*.dist-info"))
    package = site / f"plugin_{name}"
    if what == "install" and not infos:
        install(site, name, version=str(number))
    elif what == "join":
        shutil.rmtree(site / f"stranger-{number}.dist-info", ignore_errors=True)
        install(site, name, distribution="stranger", version=str(number))
    elif what == "touch":
        (site / f"{name}.txt").touch()
    elif infos:
        _change_installed(what, infos[0], package, number, install)


def _change_installed(what: str, info: Path, package: Path, number: int, install: Install) -> None:
    name = package.name.removeprefix("plugin_")
    if what in {"uninstall", "upgrade", "module"}:
        shutil.rmtree(package, ignore_errors=True)
    if what in {"uninstall", "upgrade"}:
        shutil.rmtree(info)
    if what == "upgrade":
        install(package.parent, name, version=str(number))
    elif what == "entry":
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = plugin_{name}:Number{number}\n")
    elif what == "metadata":
        (info / "METADATA").write_text(f"Name: plugin-{name}\nVersion: {number}\nSummary: x\n")
    elif what in {"toml", "break"} and package.is_dir():
        good = f'schema = 1\napi = 1\nname = "{name}"\ntype = "provider"\nafter = ["n{number}"]\n'
        (package / "plugin.toml").write_text(good if what == "toml" else "broken")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(OPERATIONS), st.integers(0, 1), st.sampled_from(["a", "b", "c"]), st.integers(0, 3),
            st.booleans(), st.booleans(),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_after_any_sequence_of_changes_an_index_answers_as_the_disk(
    install: Install, steps: list[tuple[str, int, str, int, bool, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sites = (Path(folder, "first"), Path(folder, "second"))
        for one in sites:
            one.mkdir()
        cache = Path(folder, "cache")
        for what, where, name, number, late, single in steps:
            _operate(what, sites[where], name, number, install)
            plain = discovery.discover([str(one) for one in sites], index=False)
            found = indexed(cache, *sites, clock=ahead if late else time.time_ns)
            if single:  # asked for one by one, before anything asks for all
                assert [found.manifests.get(one) for one in "abc"] == [plain.manifests.get(one) for one in "abc"]
            assert everything(found) == everything(plain)
            tick(Path(folder))


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _foreign_bytes(file: Path) -> None:
    file.write_bytes(b"\x80\x04N." * 100)


def _group_writable(file: Path) -> None:
    file.chmod(0o660)


def _symlink(file: Path) -> None:
    file.rename(file.with_name("target"))
    file.symlink_to("target")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _huge(file: Path) -> None:
    os.truncate(file, store.SIZE_LIMIT * 2)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncate, "is damaged; it is written anew"),
        (_empty, "is damaged; it is written anew"),
        (_foreign_bytes, "is damaged; it is written anew"),
        (_huge, "is damaged; it is written anew"),
        (_group_writable, "may be written by others, and is not used"),
        (_symlink, "cannot be opened: Too many levels of symbolic links"),
        (_pipe, "is not a regular file, and is not used"),
    ],
)
def test_a_spoilt_index_is_reported_ignored_and_written_anew(
    known: Path, cache: Path, spoil: Callable[[Path], None], said: str
) -> None:
    good = everything(indexed(cache, known))
    file = file_of(cache, known)
    spoil(file)
    found = indexed(cache, known)
    assert dict(found.manifests) == good[0]
    (fault,) = found.faults
    assert fault.name == "? discovery index"
    assert said in fault.reason
    assert str(file) in fault.reason
    assert everything(indexed(cache, known)) == good
    assert file.is_file()
    assert not file.is_symlink()


def test_no_flipped_bit_changes_an_answer_silently(known: Path, cache: Path) -> None:
    good = everything(indexed(cache, known))
    file = file_of(cache, known)
    whole = file.read_bytes()
    for place in range(0, len(whole), 23):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found = indexed(cache, known)
        assert dict(found.manifests) == good[0], place
        assert [one.name for one in found.faults] in ([], ["? discovery index"])


@pytest.mark.parametrize("change", [_uninstall, _change_manifest, _stranger_joins])
def test_a_flipped_bit_is_survived_while_something_changes(
    known: Path, cache: Path, install: Install, change: Callable[[Path, Install], None]
) -> None:
    file = file_of(cache, known)
    whole = file.read_bytes()
    change(known, install)
    plain = discovery.discover([str(known)], index=False)
    for place in range(0, len(whole), 41):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        assert dict(indexed(cache, known).manifests) == dict(plain.manifests), place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("folder_too", [False, True])
def test_an_index_of_another_user_is_not_read(known: Path, cache: Path, folder_too: bool) -> None:
    good = everything(indexed(cache, known))
    os.chown(cache if folder_too else file_of(cache, known), 65534, 65534)
    found = indexed(cache, known)
    assert dict(found.manifests) == good[0]
    assert "belongs to user 65534, not to user 0" in found.faults[0].reason
    assert len(indexed(cache, known).faults) == folder_too  # a file is replaced, a folder cannot be


@pytest.mark.parametrize("spoil", [lambda cache: cache.chmod(0o770), lambda cache: _symlink(cache)])
def test_a_folder_that_others_may_write_to_is_not_used(known: Path, cache: Path, spoil: Callable[[Path], None]) -> None:
    good = everything(indexed(cache, known))
    spoil(cache)
    found = indexed(cache, known)
    assert dict(found.manifests) == good[0]
    assert "is not used" in found.faults[0].reason


@pytest.mark.parametrize("cache", ["", "/dev/null/cache", "/proc/nowhere"])
def test_discovery_works_where_no_index_can_be_written(site: Path, install: Install, cache: str) -> None:
    install(site, "one")
    found = discovery.discover([str(site)], index=True, cache=cache)
    assert found.manifests.keys() == {"one"}
    assert found.faults == []


def test_the_folder_of_indexes_is_private(known: Path, cache: Path) -> None:
    assert cache.stat().st_mode & 0o777 == 0o700
    assert file_of(cache, known).stat().st_mode & 0o777 == 0o600


def test_many_processes_write_one_index_at_once(known: Path, cache: Path) -> None:
    code = (
        "import sys, time\n"
        "from framework.discovery import discover, store\n"
        "import os\n"
        "for _ in range(30):\n"
        f"    clock = lambda: time.time_ns() + {AHEAD}\n"
        f"    found = discover([{str(known)!r}], index=True, cache={str(cache)!r}, clock=clock)\n"
        "    assert len(found.manifests) == 3 and not found.faults, found.faults\n"
        f"    try: os.unlink({str(file_of(cache, known))!r})\n"
        "    except FileNotFoundError: pass\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [one.communicate()[1] for one in running] == ["", "", ""]
    assert as_on_disk(cache, known)
    assert [one for one in os.listdir(cache) if one.startswith(".")] == []


def test_an_index_that_is_replaced_while_it_is_used_is_not_mixed_with_the_new_one(
    known: Path, cache: Path, install: Install
) -> None:
    found = indexed(cache, known)
    install(known, "aaa", extra='description = "Comes first."')
    assert "aaa" in indexed(cache, known).manifests  # which wrote another index
    assert found.manifests["two"].capabilities == ("two.a",)
    assert found.faults == []
    gone = indexed(cache, known)
    file_of(cache, known).unlink()
    assert gone.manifests["two"].capabilities == ("two.a",)
    assert gone.faults == []


def test_another_version_of_python_has_an_index_of_its_own(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = file_of(cache, known)
    raw = mine.read_bytes()
    monkeypatch.setattr(sys, "version", "3.99.0 (another)")
    assert file_of(cache, known) != mine
    assert index.Index.decode(raw, (str(known),), lambda: raw) is None
    assert as_on_disk(cache, known)
    assert {mine.name, file_of(cache, known).name} <= set(os.listdir(cache))


def test_only_so_many_indexes_are_kept(known: Path, cache: Path, install: Install) -> None:
    for number in range(store.KEPT + 5):
        old = cache / f"{number:016x}.index"
        old.touch()
        os.utime(old, (number, number))
    abandoned = cache / ".0.index.1.1"
    abandoned.touch()
    os.utime(abandoned, (0, 0))
    install(known, "four")
    assert as_on_disk(cache, known)
    assert len(os.listdir(cache)) == store.KEPT
    assert file_of(cache, known).is_file()


@pytest.mark.parametrize("home", ["/home/somebody", "/"])
@pytest.mark.parametrize("value", [None, "", "  ", "/x/y", "relative", "/with/slash/"])
def test_the_folder_is_where_platformdirs_has_it(monkeypatch: pytest.MonkeyPatch, value: str | None, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    expected = os.path.join(platformdirs.user_cache_dir("framework", appauthor=False), "discovery")
    assert os.path.normpath(store.folder()) == os.path.normpath(expected)


@pytest.mark.parametrize(("environ", "written"), [({}, True), ({"FRAMEWORK_NO_INDEX": "1"}, False)])
def test_the_switch_turns_the_index_off(tmp_path: Path, environ: dict[str, str], written: bool) -> None:
    kept = {name: value for name, value in os.environ.items() if name != discovery.SWITCH}
    done = subprocess.run(
        [sys.executable, "-c", "from framework.discovery import discover; discover()"],
        env={**kept, "XDG_CACHE_HOME": str(tmp_path), **environ},
        check=True,
    )
    assert done.returncode == 0
    assert (tmp_path / "framework" / "discovery").is_dir() == written


def test_a_path_that_a_pth_file_changes_has_an_index_of_its_own(tmp_path: Path, site: Path, install: Install) -> None:
    source = tmp_path / "src"
    install(source, "edited")
    code = (
        f"import site, time; site.addsitedir({str(site)!r})\n"
        "from framework.discovery import discover\n"
        f"print('edited' in discover(index=True, clock=lambda: time.time_ns() + {AHEAD}).manifests)\n"
    )
    run = functools.partial(
        subprocess.run,
        [sys.executable, "-c", code],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    said = [run().stdout]
    for content in (f"{source}\n", f"# {source}\n", f"{source}\n"):
        (site / "edited.pth").write_text(content)
        said.append(run().stdout)
    assert said == ["False\n", "True\n", "False\n", "True\n"]


def test_a_path_with_an_archive_is_read_without_index(site: Path, install: Install, cache: Path) -> None:
    install(site, "one")
    archive = site.parent / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("odd-1.0.dist-info/METADATA", "Name: odd\n")
        bundle.writestr("odd-1.0.dist-info/entry_points.txt", f"[{GROUP}]\nodd = plugin_one:Sample\n")
    assert as_on_disk(cache, site, archive)
    assert not cache.exists()


def test_folders_of_plugins_are_read_beside_the_index(known: Path, cache: Path) -> None:
    folder = known.parent / "folder"
    folder.mkdir()
    (folder / "plugin_two.py").touch()
    (folder / "plugin_loose.py").touch()
    found = discovery.discover([str(known)], [str(folder)], index=True, cache=str(cache), clock=ahead)
    assert found.manifests.keys() == {"one", "three", "loose"}
    assert "Two plugins are called 'two'" in found.faults[0].reason


def test_entries_that_are_relative_or_gone_are_no_trouble(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(known)
    path: Sequence[str] = ["", str(known.parent / "nothing.zip"), str(known)]
    found = discovery.discover(path, index=True, cache=str(cache), clock=ahead)
    assert found.manifests.keys() == {"one", "two", "three"}
    assert isinstance(discovery.discover(path, index=True, cache=str(cache), clock=ahead), Remembered)
    gone = known.parent / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert discovery.discover(["", str(known)], index=False).manifests.keys() == {"one", "two", "three"}


def test_refreshing_says_what_is_different(known: Path, cache: Path, install: Install) -> None:
    install(known, "four")
    _change_manifest(known, install)
    shutil.rmtree(known / "plugin_one-1.0.dist-info")
    outcome = discovery.refresh([str(known)], cache=str(cache))
    assert outcome.changes == {"four": "added", "one": "removed", "two": "changed"}
    assert outcome.file == str(file_of(cache, known))
    assert outcome.found.manifests.keys() == {"two", "three", "four"}
