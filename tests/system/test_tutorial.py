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


def unrun(name: str, text: str) -> list[str]:
    """Return what nothing runs of a page: blocks, files that nothing mentions, and fences that are no plain ones."""
    found = [one for one in blocks(text) if one.is_example]
    fences = re.findall(r"^[ >\t]*(?:```|~~~).*$|<pre", text, re.MULTILINE)
    wrong = [] if len(fences) == 2 * len(list(blocks(text))) else ["a fence that is not closed, or not as others are"]
    for one in found:
        runs = one.file or one.is_typed or one.language in LOADED | {"python"}
        if not runs and not left_out(name, one):
            wrong.append(f"line {one.line}: {one.language!r}")
        others = "".join(other.body for other in found if other is not one)
        if one.file.endswith(".py") and not any(word in others for word in spoken(one.file)):
            wrong.append(f"line {one.line}: nothing uses {one.file}")
    return wrong


def spoken(file: str) -> list[str]:
    """Return how a file of Python may be spoken of: its module, plugin or package, or the folder that it is in."""
    folder, module = os.path.split(os.path.splitext(file)[0])
    return [one.removeprefix("plugin_") for one in (module, folder, os.path.basename(folder)) if one]


def test_every_example_is_run_or_listed_with_the_reason() -> None:
    assert {name: wrong for name in EVERY if (wrong := unrun(name, read(name)))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "```rust\nfn main() {}\n```\n",
        "```text\n$ ls\n```\n",
        "- item\n\n  ```python\n  1 / 0\n  ```\n",
        "~~~python\n1 / 0\n~~~\n",
        "```python\n1 / 0\n",
        "```{code-block} python\n:caption: alone.py\n\n1 / 0\n```\n",
    ],
)
def test_an_example_that_nothing_would_run_is_noticed(text: str) -> None:
    assert unrun("docs/page.md", text) != []


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
