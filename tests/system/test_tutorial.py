"""Every example of the documentation is run as a reader would do it, and what is printed is compared.

What is not run by this test is named in `given.py`: with the test that runs it, or with the reason why nothing can.
"""

import contextlib
import glob
import os
import re
import subprocess

import pytest
from tests.system.given import ELSEWHERE, GIVEN, LEFT_OUT, NEEDED, PREPARED
from tests.system.reader import LOADED, PATIENCE, ROOT, Block, Reader, blocks, commands, matches, read

from framework.discovery import discover

GENERATED = ("docs/_build/", "docs/reference/_generated/", "docs/reference/plugins/")
PLACES = ("docs/**/*.md", "*.md", "core/*.md", "contrib/**/*.md", "plugins/*/*.md")
EVERY = sorted(
    name
    for place in PLACES
    for name in glob.glob(place, root_dir=ROOT, recursive=True)
    if not name.startswith(GENERATED) or name == "docs/reference/plugins/index.md"
)
PAGES = [name for name in EVERY if any(one.is_example for one in blocks(read(name)))]

pytestmark = pytest.mark.timeout(600)  # pages have up to twenty commands, and the machine may be busy


def needed(name: str) -> set[str]:
    found = re.match(r"---\nplugins: \[(?P<names>[\w, ]+)\]\n---\n", read(name))
    names = set(found["names"].replace(",", " ").split()) if found else set()
    own = re.match(r"plugins/(\w+)/", name)
    return names | NEEDED.get(name, set()) | ({own[1]} if own else set())


def left_out(name: str, block: Block) -> bool:
    """Return whether a whole block is; of commands the reader leaves out those that are listed."""
    listed = not block.is_typed and block.body.partition("\n")[0] in LEFT_OUT.get(name, {})
    return listed or (name, block.language) in ELSEWHERE


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_page_shows(name: str, tmp_path: os.PathLike[str]) -> None:
    missing = needed(name) - discover().manifests.keys()
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    followed = [one for one in blocks(read(name)) if not left_out(name, one)]
    for segment in re.findall(r'"memory.shared", name="(\w+)"', "".join(one.body for one in followed)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/dev/shm/framework.{segment}")  # left by a run of this test that was killed
    reader = Reader(os.fspath(tmp_path), LEFT_OUT.get(name, ()))
    subprocess.run(["bash", "-ec", PREPARED.get(name, "")], **reader.options(), timeout=PATIENCE, check=True)

    try:
        for block in followed:
            reader.follow(block)
        if reader.program:
            reader.execute(name, GIVEN.get(name, ""))
    finally:
        reader.leave()

    # pytest keeps the folders of its last three runs
    assert [one for one in os.listdir(reader.temporary) if not one.startswith("pytest-of-")] == []


def test_every_example_is_run_or_listed_with_the_reason() -> None:
    for name in EVERY:
        text = read(name)
        found = list(blocks(text))
        fences = re.findall(r"^[ >\t]*(?:```|~~~).*$|<pre", text, re.MULTILINE)
        assert len(fences) == 2 * len(found), f"{name}: a fence is not closed, or not as the others are"
        for block in filter(lambda one: one.is_example, found):
            runs = block.file or block.is_typed or block.language in LOADED | {"python"}
            assert runs or left_out(name, block), f"{name}, line {block.line}: nothing runs {block.language!r}"


def test_what_is_said_to_be_run_elsewhere_or_not_at_all_is_there() -> None:
    installed = discover().manifests.keys()
    for (name, language), test in ELSEWHERE.items():
        assert any(one.language == language for one in blocks(read(name))), name
        if test.startswith("tests/") or test.split("/")[1] in installed:
            assert f'"{os.path.basename(name)}"' in read(test), f"{test} does not read {name}"
    for name, lines in LEFT_OUT.items():
        if name in EVERY:
            shown = {line for one in blocks(read(name)) for line in first_lines(one)}
            assert lines.keys() <= shown, name
    written = {name for name in (*PREPARED, *GIVEN, *NEEDED) if os.path.exists(os.path.join(ROOT, name))}
    assert written <= set(PAGES)


def first_lines(block: Block) -> set[str]:
    return {one.text for one in commands(block)} if block.is_typed else {block.body.partition("\n")[0]}


def test_an_output_that_differs_is_noticed() -> None:
    assert matches("a ... c\n...\nz\n", "a   b  c\nd\ne\nz\n")
    assert not matches("a ... c\n", "a b d\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a\n...\nz\n", "a\nb\n")
