"""What is installed is found without importing it, whatever else lies on the path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import importlib_metadata
import pytest

from framework import discovery
from framework.discovery import GROUP, discover

Install = Callable[..., Path]
Break = Callable[[Path, Install], None]

EXPLODES = "raise SystemExit('a plugin was imported')\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def python(code: str, environment: dict[str, str] | None = None) -> str:
    """Run code in an interpreter of its own and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def good(site: Path, install: Install, count: int = 3) -> set[str]:
    names = {f"good{number}" for number in range(count)}
    for name in names:
        install(site, name, EXPLODES)
    return names


def test_a_plugin_is_described_by_its_manifest_and_its_distribution(site: Path, install: Install) -> None:
    install(site, "one", extra='requires = ["two"]\n[provides]\nkinds = ["one.a"]', version="3.1")
    found = discover([str(site)])
    one = found.manifests["one"]
    assert (one.version, one.description, one.author) == ("3.1", "A sample.", "Somebody")
    assert (one.distribution, one.entry_point) == ("plugin-one", "plugin_one:Sample")
    assert (one.capabilities, one.requires) == (("one.a",), ("two",))
    assert one.path == str(site / "plugin_one" / "plugin.toml")
    assert found.faults == []


def test_a_package_without_manifest_is_found_with_an_empty_type(site: Path, install: Install) -> None:
    install(site, "bare", manifest=None)
    one = discover([str(site)]).manifests["bare"]
    assert (one.type, one.path, one.entry_point, one.version) == ("", "", "plugin_bare:Sample", "1.0")


def _no_module(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nbad = plugin_nowhere:X\n")


def _no_submodule(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nbad = plugin_bad.nowhere:X\n")


def _malformed_value(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nbad = plugin_bad:Sample:More\n")


def _empty_value(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nbad =\n")


def _no_equals(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nbad\n")


def _no_name(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\n= plugin_bad:Sample\n")


def _not_utf8(site: Path, install: Install) -> None:
    install(site, "bad", entry_points=f"[{GROUP}]\nb\xe4d = plugin_bad:Sample\n".encode("latin-1"))


def _manifest_not_toml(site: Path, install: Install) -> None:
    install(site, "bad", manifest="name = ")


def _manifest_not_utf8(site: Path, install: Install) -> None:
    install(site, "bad", manifest=b"# \xff")


def _manifest_unknown_key(site: Path, install: Install) -> None:
    install(site, "bad", extra="surprise = 1")


def _manifest_endless(site: Path, install: Install) -> None:
    install(site, "bad", manifest="x = " + "[" * 50_000)


def _manifest_is_a_directory(site: Path, install: Install) -> None:
    install(site, "bad", manifest=None)
    (site / "plugin_bad" / "plugin.toml").mkdir()


def _manifest_dangles(site: Path, install: Install) -> None:
    install(site, "bad", manifest=None)
    (site / "plugin_bad" / "plugin.toml").symlink_to(site / "gone")


def _other_name(site: Path, install: Install) -> None:
    install(site, "bad", manifest='schema = 1\napi = 1\nname = "worse"\ntype = "provider"\n')


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (_no_module, "bad", "names the module 'plugin_nowhere', which is not there"),
        (_no_submodule, "bad", "names the module 'plugin_bad.nowhere', which is not there"),
        (_malformed_value, "bad", "is malformed; allowed: module:object"),
        (_empty_value, "bad", "has the line 'bad ='; allowed: name = module:object"),
        (_no_equals, "bad", "has the line 'bad'; allowed: name = module:object"),
        (_no_name, "? plugin-bad", "has the line '= plugin_bad:Sample'; allowed"),
        (_not_utf8, "? plugin-bad", "entry_points.txt of plugin-bad is not UTF-8"),
        (_manifest_not_toml, "bad", "is not TOML"),
        (_manifest_not_utf8, "bad", "is not UTF-8"),
        (_manifest_unknown_key, "bad", "has the unknown key 'surprise'"),
        (_manifest_endless, "bad", "is not TOML"),
        (_manifest_is_a_directory, "bad", "cannot be read: Is a directory"),
        (_manifest_dangles, "bad", "cannot be read: No such file"),
        (_other_name, "bad", "says name = 'worse', but the entry point is called 'bad'"),
    ],
)
def test_a_broken_plugin_becomes_a_fault_and_the_good_ones_are_found(
    site: Path, install: Install, spoil: Break, name: str, said: str
) -> None:
    names = good(site, install)
    spoil(site, install)
    found = discover([str(site)])
    assert found.manifests.keys() == names
    (fault,) = found.faults
    assert (fault.name, fault.distribution) == (name, "plugin-bad")
    assert said in fault.reason


@pytest.mark.parametrize(
    "name", ["../../etc/x", "a/b", "..", "back\\slash", "two words", "\x1b[31mred", "the kernel", "n" * 101]
)
def test_a_name_that_no_manifest_could_say_is_none_without_a_manifest_either(
    site: Path, install: Install, name: str
) -> None:
    names = good(site, install)
    install(site, "bad", entry_points=f"[{GROUP}]\n{name} = plugin_bad:Sample\n", manifest=None)
    found = discover([str(site)])
    assert found.manifests.keys() == names
    (fault,) = found.faults
    assert (fault.name, fault.distribution) == (name, "plugin-bad")
    assert "allowed: a text that is not empty, of at most 100 letters" in fault.reason


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt"])
@pytest.mark.parametrize("becomes", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_metadata_that_never_ends_is_not_waited_for(
    site: Path, install: Install, file: str, becomes: Callable[[Path], None]
) -> None:
    names = good(site, install)
    install(site, "bad")
    (site / "plugin_bad-1.0.dist-info" / file).unlink()
    becomes(site / "plugin_bad-1.0.dist-info" / file)
    assert discover([str(site)]).manifests.keys() - {"bad"} == names


def _bare_dist_info(site: Path, install: Install) -> None:
    (site / ".dist-info").mkdir()
    (site / ".dist-info" / "METADATA").write_text("stray")


def _empty_dist_info(site: Path, install: Install) -> None:
    (site / "empty-1.0.dist-info").mkdir()


def _dist_info_is_a_file(site: Path, install: Install) -> None:
    (site / "file-1.0.dist-info").write_text("no folder")
    (site / "old.egg-info").write_text("Name: old\n")


def _foreign_and_undecodable(site: Path, install: Install) -> None:
    info = site / "foreign-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff\xfe no equals sign\n")
    (info / "METADATA").write_bytes(b"\xff\xfe\x00")


def _foreign_stray_line(site: Path, install: Install) -> None:
    info = site / "stray-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"a stray line\n# {GROUP}\n[console_scripts]\nx\n")


def _unreadable_names(site: Path, install: Install) -> None:
    os.mkdir(os.fsencode(site) + b"/\xff-1.0.dist-info")


@pytest.mark.parametrize(
    "spoil",
    [
        _bare_dist_info,
        _empty_dist_info,
        _dist_info_is_a_file,
        _foreign_and_undecodable,
        _foreign_stray_line,
        _unreadable_names,
    ],
)
def test_litter_that_is_no_plugin_changes_nothing(site: Path, install: Install, spoil: Break) -> None:
    names = good(site, install)
    spoil(site, install)
    found = discover([str(site)])
    assert found.manifests.keys() == names
    assert found.faults == []


def test_a_plugin_whose_metadata_is_missing_or_not_utf8_is_still_found(site: Path, install: Install) -> None:
    install(site, "lost", metadata=None)
    install(site, "odd", metadata=b"Name: plugin-odd\r\nVersion: 2\r\nSummary: caf\xe9\r\n\r\nAuthor: in the body\r\n")
    found = discover([str(site)])
    assert (found.manifests["lost"].distribution, found.manifests["lost"].version) == ("plugin_lost", "")
    odd = found.manifests["odd"]
    assert (odd.version, odd.description, odd.author) == ("2", "caf�", "")


def test_two_distributions_with_one_plugin_name_are_both_refused(site: Path, install: Install) -> None:
    names = good(site, install)
    install(site, "twin", distribution="plugin-a")
    install(site, "twin", distribution="plugin-b")
    install(site, "twin", distribution="plugin-c")
    found = discover([str(site)])
    assert found.manifests.keys() == names
    (fault,) = found.faults
    assert fault.name == "twin"
    assert all(one in fault.reason for one in ("plugin-a", "plugin-b", "plugin-c", "Uninstall one"))


def test_nothing_is_imported_while_discovering(site: Path, install: Install) -> None:
    good(site, install)
    for name, body in (("raises", "1 / 0"), ("exits", "raise SystemExit"), ("aborts", "import os; os.abort()")):
        install(site, name, body)
    install(site, "unclear", "def broken(:\n", manifest=None)
    folder = site.parent / "folder"
    folder.mkdir()
    (folder / "plugin_loose.py").write_text(EXPLODES)
    code = (
        "import json, sys\n"
        "from framework.discovery import discover\n"
        "before = set(sys.modules)\n"
        f"found = discover(sys.path, [{str(folder)!r}])\n"
        "new = {one.partition('.')[0] for one in set(sys.modules) - before}\n"
        "print(json.dumps([sorted(found.manifests), [str(one) for one in found.faults], sorted(new)]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    printed = python(code, environment)
    manifests, faults, imported = json.loads(printed)
    assert {"good0", "good1", "good2", "raises", "exits", "aborts", "unclear", "loose"} <= set(manifests)
    assert faults == []
    assert not [one for one in imported if one.startswith(("plugin_", "importlib_metadata"))]


def test_good_distributions_are_found_exactly_as_importlib_metadata_finds_them(site: Path, install: Install) -> None:
    good(site, install, 5)
    install(
        site,
        "many",
        entry_points=f"; odd\n[other]\nx = y\n\n[{GROUP}]\n# comment\nmany=plugin_many\nmore = plugin_many : Sample\n",
        manifest=None,
    )
    found = discover([str(site)])
    expected = {
        (one.name, one.value)
        for dist in importlib_metadata.distributions(path=[str(site)])
        for one in dist.entry_points.select(group=GROUP)
    }
    assert {(one.name, one.entry_point) for one in found.manifests.values()} == expected
    assert len(expected) == 7


def test_the_real_environment_is_found_as_importlib_metadata_finds_it() -> None:
    found = discover()
    expected = {(one.name, one.value) for one in importlib_metadata.entry_points(group=GROUP)}
    assert {(one.name, one.entry_point) for one in found.manifests.values()} == expected
    assert found.faults == []
    assert found.first_party() <= found.manifests.keys()


def test_an_editable_install_through_a_pth_file_is_found(tmp_path: Path, site: Path, install: Install) -> None:
    source = tmp_path / "src"
    install(source, "edited", EXPLODES)
    next(source.glob("*.dist-info")).rename(site / "plugin_edited-1.0.dist-info")
    (site / "edited.pth").write_text(f"{source}\n")
    code = (
        f"import site, sys; site.addsitedir({str(site)!r})\n"
        "from framework.discovery import discover\n"
        "found = discover()\n"
        "print(found.manifests['edited'].path)\n"
    )
    printed = python(code)
    assert printed.strip() == str(source / "plugin_edited" / "plugin.toml")


def test_an_editable_install_through_a_finder_is_found(tmp_path: Path, site: Path, install: Install) -> None:
    source = tmp_path / "src"
    install(source, "mapped", EXPLODES)
    next(source.glob("*.dist-info")).rename(site / "plugin_mapped-1.0.dist-info")
    code = (
        "import importlib.util, sys\n"
        "class Finder:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'plugin_mapped':\n"
        f"            file = {str(source)!r} + '/plugin_mapped/__init__.py'\n"
        "            return importlib.util.spec_from_file_location(name, file)\n"
        "class Broken:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'plugin_nowhere': raise RuntimeError('finders are other people')\n"
        "sys.meta_path[:0] = [Broken, Finder]\n"
        f"sys.path.append({str(site)!r})\n"
        "from framework.discovery import discover\n"
        "found = discover()\n"
        "print(found.manifests['mapped'].path)\n"
        "print(found.faults)\n"
    )
    install(site, "bad", entry_points=f"[{GROUP}]\nbad = plugin_nowhere:X\n")
    printed = python(code)
    where, faults = printed.splitlines()
    assert where == str(source / "plugin_mapped" / "plugin.toml")
    assert "plugin_nowhere" in faults


def test_a_plugin_in_an_archive_is_found_with_its_manifest(tmp_path: Path, site: Path, install: Install) -> None:
    install(site, "zipped", EXPLODES, extra='[provides]\nkinds = ["zipped.a"]')
    (site / "plugin_zipped" / "plugin.py").write_text("")
    info = site / "plugin_zipped-1.0.dist-info"
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nzipped = plugin_zipped.plugin:Sample\n")
    (site / "odd-1.0.dist-info").mkdir()
    (site / "odd-1.0.dist-info" / "entry_points.txt").write_bytes(f"[{GROUP}]\n".encode() + b"\xff = x:y\n")
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        for file in sorted(site.rglob("*")):
            if file.is_file():
                bundle.write(file, file.relative_to(site))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    code = (
        "from framework.discovery import discover\n"
        "found = discover()\n"
        "one = found.manifests['zipped']\n"
        "print(one.distribution, one.version, one.entry_point, one.capabilities, one.path)\n"
        "print(*found.faults)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'broken.zip'}{os.pathsep}{archive}"}
    printed = python(code, environment)
    one, faults = printed.splitlines()
    path = archive / "plugin_zipped" / "plugin.toml"
    assert one == f"plugin-zipped 1.0 plugin_zipped.plugin:Sample ('zipped.a',) {path}"
    assert f"entry_points.txt of number 1 in {archive} is not UTF-8" in faults


def test_the_first_distribution_on_the_path_wins(tmp_path: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(first, "one", version="2.0")
    install(second, "one", version="1.0")
    found = discover([str(first), str(second), str(first)])
    assert found.manifests["one"].version == "2.0"
    assert found.faults == []
    assert discover([str(second), str(first)]).manifests["one"].version == "1.0"


def test_a_distribution_hidden_by_an_earlier_one_without_plugins_stays_hidden(tmp_path: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(first, "one", distribution="Some_Plugin", entry_points="[console_scripts]\nx = y:z\n", version="2.0")
    install(second, "one", distribution="some-plugin", version="1.0")
    assert discover([str(first), str(second)]).manifests == {}


def test_a_distribution_without_metadata_yields_to_one_that_has_it(tmp_path: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(first, "one", metadata=None, version="1.0")
    install(second, "one", version="2.0")
    assert discover([str(first), str(second)]).manifests["one"].version == "2.0"


def test_a_script_named_like_the_package_does_not_hide_it(tmp_path: Path, site: Path, install: Install) -> None:
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "plugin_one").write_text("#!/bin/sh\n")
    install(site, "one")
    assert discover([str(scripts), str(site)]).manifests["one"].type == "provider"


def test_a_plugin_inside_a_namespace_package_is_found_in_its_portion(tmp_path: Path, install: Install) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    install(first / "acme", "one")
    install(second / "acme", "two")
    for site, name in ((first, "one"), (second, "two")):
        info = next((site / "acme").glob("*.dist-info")).rename(site / f"plugin_{name}-1.0.dist-info")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = acme.plugin_{name}:Sample\n")
    found = discover([str(first), str(second)])
    assert found.faults == []
    assert found.manifests["two"].path == str(second / "acme" / "plugin_two" / "plugin.toml")


def test_a_module_of_a_namespace_package_is_not_sought_at_the_top(tmp_path: Path, site: Path, install: Install) -> None:
    install(site, "one", entry_points=f"[{GROUP}]\none = acme.json:Sample\n")
    (site / "acme").mkdir()
    found = discover([str(site)])
    assert found.manifests == {}
    assert "names the module 'acme.json', which is not there" in found.faults[0].reason


def test_what_the_bundle_requires_is_the_first_party_set(site: Path, install: Install) -> None:
    requires = (
        "Requires-Dist: Plugin_One>=1,<2\nRequires-Dist: plugin-bad\nRequires-Dist: plugin-two ; extra == 'more'\n"
    )
    install(site, "bundle", distribution="resource-framework", entry_points="", metadata=requires)
    for name in ("one", "two", "three"):
        install(site, name)
    _manifest_not_toml(site, install)
    assert discover([str(site)]).first_party() == {"one", "bad"}


def test_a_stranger_does_not_inherit_the_place_of_a_broken_first_party_plugin(site: Path, install: Install) -> None:
    install(site, "bundle", distribution="resource-framework", entry_points="", metadata="Requires-Dist: plugin-bad\n")
    _no_module(site, install)
    install(site, "bad", distribution="stranger")
    found = discover([str(site)])
    assert found.manifests["bad"].distribution == "stranger"
    assert found.first_party() == set()


def test_modules_and_packages_in_a_folder_are_plugins(tmp_path: Path, install: Install) -> None:
    folder = tmp_path / "folder"
    install(folder, "packed")
    (folder / "plugin_loose.py").write_text(EXPLODES)
    (folder / "plugin_packed.py").write_text(EXPLODES)
    (folder / "helper.py").write_text(EXPLODES)
    (folder / "plugin_old.bak.py").write_text(EXPLODES)
    (folder / "plugin_-x.py").write_text(EXPLODES)
    (folder / "plugin_.py").write_text(EXPLODES)
    (folder / "plugin_notes.txt").write_text("")
    (folder / "plugin_empty").mkdir()
    (folder / "plugin_folder.py").mkdir()
    (folder / "plugin_circle.py").symlink_to("plugin_circle.py")
    os.mkfifo(folder / "plugin_pipe.py")
    assert discovery.modules_in(str(folder)) == [
        ("plugin_loose", str(folder / "plugin_loose.py")),
        ("plugin_packed", str(folder / "plugin_packed" / "__init__.py")),
    ]
    found = discover([], [str(folder)])
    assert {one.name: (one.entry_point, one.location, one.distribution) for one in found.manifests.values()} == {
        "loose": ("plugin_loose", str(folder / "plugin_loose.py"), str(folder)),
        "packed": ("plugin_packed", str(folder / "plugin_packed" / "__init__.py"), str(folder)),
    }
    assert found.manifests["packed"].type == "provider"


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    missing, file = tmp_path / "missing", tmp_path / "file"
    file.write_text("")
    found = discover([], [str(missing), str(file)])
    assert [fault.distribution for fault in found.faults] == [str(missing), str(file)]
    assert "cannot be read: No such file" in found.faults[0].reason
    assert "cannot be read: Not a directory" in found.faults[1].reason


def test_a_folder_plugin_named_like_an_installed_one_is_refused(tmp_path: Path, site: Path, install: Install) -> None:
    install(site, "one")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "plugin_one.py").write_text(EXPLODES)
    found = discover([str(site)], [str(folder)])
    assert found.manifests == {}
    assert [fault.name for fault in found.faults] == ["one"]
    assert str(folder) in found.faults[0].reason
