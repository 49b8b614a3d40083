"""What the documentation shows works."""

from __future__ import annotations

import os
import re

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


@pytest.mark.parametrize("page", ["plugins/pool/README.md", "docs/how-to/give-entities-to-tasks.md"])
def test_the_examples_run(page: str) -> None:
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        blocks = re.findall(r"^```python\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)

    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": "example"})
