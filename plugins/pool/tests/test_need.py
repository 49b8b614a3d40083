"""Requirements and entities as one writes them in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from framework.errors import InvalidRequestError
from plugin_pool.need import described, needed


@pytest.mark.parametrize(
    ("text", "kind", "count", "capabilities"),
    [
        ("executor", "executor", 1, {}),
        ("2*executor", "executor", 2, {}),
        ("2*executor:web_search=5,file_ops", "executor", 2, {"web_search": 5, "file_ops": 1}),
        ("Übersetzer für alles:a b=10", "Übersetzer für alles", 1, {"a b": 10}),
    ],
)
def test_a_requirement_is_read(text: str, kind: str, count: int, capabilities: dict[str, int]) -> None:
    assert needed(text) == {"type": kind, "count": count, "capabilities": capabilities}


def test_an_entity_is_read() -> None:
    assert described("executor:web_search=8,file_ops=3") == {
        "type": "executor",
        "capabilities": {"web_search": 8, "file_ops": 3},
    }
    assert described("tool") == {"type": "tool", "capabilities": {}}


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (needed, "", r"The requirement '' cannot be read\. Write it as executor, 2\*executor"),
        (needed, "x*executor", "cannot be read"),
        (needed, "1" * 5000 + "*executor", "cannot be read"),
        (needed, "executor:", "cannot be read"),
        (needed, "executor:web_search=high", r"level of 'web_search' in .* is 'high'; 1 to 10 are allowed"),
        (needed, "executor:web_search=" + "9" * 5000, "1 to 10 are allowed"),
        (needed, "executor:web_search=-1", "is '-1'; 1 to 10"),
        (needed, "a\x1b[2J*b", r"'a\\x1b\[2J\*b' cannot be read"),
        (described, "executor:web_search", r"'web_search' in .* has no level\. Write it as web_search=8"),
        (described, "executor:=8", "'' in .* has no level"),
        (described, "executor:web_search=8,", "'' in .* has no level"),
        (described, "executor:web_search=best", "is 'best'; 1 to 10"),
        (described, "2*executor", r"The type '2\*executor' has '\*' in it; .* added one by one"),
        (described, "executor,tool", "has ',' in it"),
        (described, "executor=5:a=1", "has '=' in it"),
        (described, "executor:a=1,b=1,a=2", r"The capability 'a' is in .* more than once\. Write it once"),
        (needed, "executor:a=1,a=2", "'a' is in 'executor:a=1,a=2' more than once"),
    ],
    ids=range(17),
)
def test_what_cannot_be_read_is_refused(read: Callable[[str], Any], text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        read(text)
    assert len(str(caught.value)) < 400
