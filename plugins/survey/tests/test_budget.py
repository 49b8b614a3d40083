from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ResourceLimitError
from plugin_survey.budget import LEAST_HEADROOM, MIB, SPARED, Budget
from plugin_survey.formats import Bounds
from plugin_survey.sizes import Size


@given(
    limit=st.integers(1, 1 << 40),
    used=st.integers(0, 1 << 38),
    workers=st.lists(st.integers(0, 1 << 30), min_size=1, max_size=64),
)
def test_all_together_never_have_more_than_the_budget(limit: int, used: int, workers: list[int]) -> None:
    budget = Budget(limit)
    try:
        confines = budget.confines(used, workers)
    except ResourceLimitError as error:
        needed = int(str(error).split("needs ")[1].split(" MiB")[0])
        Budget(needed * MIB + MIB).confines(used, workers)  # what it says it needs is enough
        return
    assert confines.headroom is not None
    assert confines.headroom >= LEAST_HEADROOM
    assert used + sum(workers) + confines.headroom * len(workers) <= limit * SPARED
    assert confines.share is not None
    assert confines.bounds.text_bytes <= Bounds().text_bytes


def test_without_a_budget_nothing_is_confined() -> None:
    budget = Budget()
    budget.check(1 << 60)
    assert budget.confines(1 << 60, [1]).headroom is None
    assert budget.confines(1 << 60, [1]).share is None
    assert not budget.tight(1 << 60)


def test_a_budget_that_this_process_alone_exceeds_is_refused() -> None:
    with pytest.raises(ResourceLimitError, match=r"needs 60 MiB, and --max-memory allows 50 MiB"):
        Budget(50 * MIB).check(40 * MIB)


def test_little_is_left_before_nothing_is() -> None:
    assert not Budget(100 * MIB).tight(90 * MIB)
    assert Budget(100 * MIB).tight(95 * MIB)


@pytest.mark.parametrize(
    ("text", "size"),
    [("134217728", 128 * MIB), ("128M", 128 * MIB), ("128 MiB", 128 * MIB), ("1.5g", 1536 * MIB), ("7b", 7)],
)
def test_a_size_is_written_as_people_do(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "0", "many", "-5M", "5 X", "1.5.5M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size; write it as 128MiB"):
        Size().convert(text, None, None)
