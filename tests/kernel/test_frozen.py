import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

from framework.frozen import Frozen, as_dict, replace


class Point(Frozen):
    """A place."""

    x: int
    y: int = 0
    marks: dict[str, int] = {}  # noqa: RUF012 - a field, and copied for each record


class Place(Frozen):
    x: int
    y: int = 0
    marks: dict[str, int] = {}  # noqa: RUF012 - as above


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A place."""

    x: int
    y: int = 0
    marks: dict[str, int] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize("cls", [Point, Model])
def test_a_record_is_made_compared_shown_and_copied_like_a_frozen_dataclass(cls: Any) -> None:
    one = cls(1, y=2)
    assert (one.x, one.y, one.marks) == (1, 2, {})
    assert one == cls(y=2, x=1)
    assert one != cls(1)
    assert one != (1, 2, {})
    assert repr(one) == f"{cls.__name__}(x=1, y=2, marks={{}})"
    assert dataclasses.replace(one, x=3) == cls(3, 2)
    if sys.version_info >= (3, 13):
        assert copy.replace(one, x=3) == cls(3, 2)
    assert dataclasses.asdict(one) == {"x": 1, "y": 2, "marks": {}}
    assert dataclasses.is_dataclass(one)
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert list(inspect.signature(cls).parameters) == ["x", "y", "marks"]
    assert inspect.getdoc(cls) == "A place."
    match one:
        case cls(x, y):
            assert (x, y) == (1, 2)


def test_who_asks_whether_the_base_is_a_dataclass_breaks_no_record() -> None:
    class Empty(Frozen):
        pass

    assert not dataclasses.is_dataclass(Frozen)
    assert dataclasses.is_dataclass(Empty)
    assert dataclasses.fields(Empty()) == ()
    assert dataclasses.replace(Place(1), y=2) == Place(1, 2)


def test_records_of_two_classes_are_never_equal() -> None:
    assert Point(1) != Place(1)


def test_records_with_hashable_values_can_be_keys() -> None:
    class Name(Frozen):
        text: str

    assert {Name("a"): 1}[Name("a")] == 1


@pytest.mark.parametrize("cls", [Point, Model])
def test_a_record_cannot_be_changed_and_has_no_room_for_more(cls: Any) -> None:
    one = cls(1)
    with pytest.raises(AttributeError):
        one.x = 2
    with pytest.raises(AttributeError):
        del one.x
    with pytest.raises((AttributeError, TypeError)):
        one.z = 2
    assert not hasattr(one, "__dict__")
    assert one == cls(1)


@pytest.mark.parametrize("cls", [Point, Model])
@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((), {"y": 1}), ((1, 2, {}, 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((1, 2, {}), {"z": 1})],
    ids=str,
)
def test_wrong_fields_are_refused(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"\b[xz]\b|takes"):
        cls(*values, **named)


def test_the_refusal_names_what_is_wrong() -> None:
    made: Any = Point
    with pytest.raises(TypeError, match=r"^Point\(\) lacks x$"):
        made()
    with pytest.raises(TypeError, match=r"takes x, y, marks, each once; it was also given \['z'\]"):
        made(1, z=2)


def test_a_default_is_not_shared() -> None:
    Point(1).marks["a"] = 1
    assert Point(1).marks == {}


def test_replace_and_as_dict_work_without_the_standard_library() -> None:
    assert replace(Point(1), y=5) == Point(1, 5)
    assert as_dict(Point(1)) == {"x": 1, "y": 0, "marks": {}}


def test_defining_records_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import framework.frozen; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"__future__", "framework", "framework.frozen"}
