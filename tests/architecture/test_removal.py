"""When a plugin's directory is deleted, the tests that can tell are run, and no others."""

from pathlib import Path

import pytest
from tests.architecture import removal

MANIFEST = '[provides]\nkinds = ["file.temp"]\nservices = ["storage"]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with the plugin `file`."""
    write(tmp_path, "plugins/file/src/plugin_file/plugin.toml", MANIFEST)
    return tmp_path


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "import plugin_file\n",
        'acquire("file.temp")\n',
        'service("storage")\n',
        'config = {"plugins": {"file": {}}}\n',
        'NEEDED = [f"plugin_{name}" for name in ("file", "pool")]\n',
    ],
)
@pytest.mark.parametrize("file", ["src/plugin_other/lender.py", "tests/conftest.py"])
def test_what_all_tests_of_a_plugin_use_makes_all_of_them_tell(root: Path, file: str, text: str) -> None:
    write(root, f"plugins/other/{file}", text)
    write(root, "plugins/other/tests/test_one.py", "")

    assert removal.noticing(str(root), "other", "file") == ["plugins/other"]


def test_a_test_tells_for_itself(root: Path) -> None:
    write(root, "plugins/other/tests/test_one.py", "import plugin_file\n")
    write(root, "plugins/other/tests/test_two.py", "")

    assert removal.noticing(str(root), "other", "file") == ["plugins/other/tests/test_one.py"]


def test_what_a_readme_shows_is_told_by_who_reads_it(root: Path) -> None:
    write(root, "plugins/other/README.md", 'fw.acquire("file.temp")\n')
    write(root, "plugins/other/tests/test_one.py", 'open("README.md")\n')
    write(root, "plugins/other/tests/test_two.py", "")

    assert removal.noticing(str(root), "other", "file") == ["plugins/other/tests/test_one.py"]


def test_a_word_that_happens_to_be_a_name_tells_nobody(root: Path) -> None:
    write(root, "plugins/other/src/plugin_other/names.py", 'KINDS = ("file", "folder")\n')
    write(root, "plugins/other/tests/test_one.py", "")

    assert removal.noticing(str(root), "other", "file") == []


def test_what_needs_none_of_ours_is_there() -> None:
    assert [one for one in removal.ALONE if not (Path(removal.ROOT) / one).exists()] == []


def test_what_a_plugin_leaves_is_put_back(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("one", "two"):
        write(tree, f"plugins/{name}/file", name)
    project = '[project]\ndependencies = [\n    "plugin-one",\n    "plugin-two",\n]\n'
    write(tree, "pyproject.toml", project)

    with removal._away(["one"], str(tree)):
        assert not (tree / "plugins" / "one").exists()
        assert (tree / "plugins" / "two" / "file").read_text() == "two"
        assert (tree / "pyproject.toml").read_text() == project.replace('    "plugin-one",\n', "")

    assert (tree / "plugins" / "one" / "file").read_text() == "one"
    assert (tree / "pyproject.toml").read_text() == project
