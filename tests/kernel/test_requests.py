import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framework.errors import InvalidRequestError, ResourceLimitError
from framework.requests import NAME_LIMIT, Signature, check_name, check_size


class Maker:
    """Has the method that the signatures are read from."""

    async def make(
        self,
        name: str,
        size: int,
        command: str,
        share: float = 0.5,
        arguments: list[str] | None = None,
        mode: Literal["r", "w"] = "r",
        keep: bool = False,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Make a thing.

        And more about it.
        """


signature = Signature("thing.made", Maker.make)
GOOD: dict[str, Any] = {"name": "one", "size": 10, "command": "echo"}
TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "size": (int,),
    "command": (str,),
    "share": (float, int),
    "arguments": (list, type(None)),
    "mode": (str,),
    "keep": (bool,),
}


def test_the_signature_describes_the_kind() -> None:
    assert signature.summary == "Make a thing."
    found = {parameter.name: (parameter.required, parameter.default) for parameter in signature.parameters}
    assert found["name"] == (False, "")
    assert found["size"] == (True, "")
    assert found["share"] == (False, "0.5")
    assert "size" in signature
    assert "nothing" not in signature


def test_arguments_are_accepted_by_position_and_by_name() -> None:
    assert signature.arguments(("one", 10), {"command": "echo"}) == GOOD
    assert signature.arguments((), {**GOOD, "arguments": ["a"], "share": 1, "done": print}) == {
        **GOOD,
        "arguments": ["a"],
        "share": 1,
        "done": print,
    }


def test_a_name_may_be_left_out() -> None:
    assert signature.arguments((), {"size": 0, "command": ""}) == {"size": 0, "command": ""}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"siez": 1}, "unknown parameter 'siez'; allowed: name, size, command"),
        ({"siez": 1}, "Did you mean 'size'?"),
        ({"size": -1}, "got size -1; the least allowed is 0 bytes"),
        ({"size": True}, "got size=True, a bool; allowed: int"),
        ({"size": 1.0}, "got size=1.0, a float; allowed: int"),
        ({"size": "1"}, "got size='1', a str; allowed: int"),
        ({"size": None}, "got size=None, a NoneType; allowed: int"),
        ({"command": b"echo"}, "got command=b'echo', a bytes; allowed: str"),
        ({"command": "x" * 100, "keep": 1}, "got keep=1, a int; allowed: bool"),
        ({"share": "half"}, "got share='half', a str; allowed: float or int"),
        ({"share": True}, "got share=True, a bool"),
        ({"arguments": "abc"}, "got arguments='abc', a str; allowed: list or None"),
        ({"arguments": ("a",)}, "allowed: list or None"),
        ({"done": 3}, "got done=3, a int; allowed: Callable or None"),
        ({"command": ["y" * 100]}, "...,"),
        ({"name": ""}, "got the name ''; allowed: 1 to 200 bytes of printable characters without '/'"),
        ({"name": "a/b"}, "got the name 'a/b'"),
        ({"name": "a\n"}, r"got the name 'a\n'"),
        ({"name": "\x00"}, r"got the name '\x00'"),
        ({"name": "x" * (NAME_LIMIT + 1)}, "got the name 'xxx"),
        ({"name": "€" * NAME_LIMIT}, "got the name '€€€"),
        ({"name": ".."}, "neither '.' nor '..'"),
        ({"mode": "z"}, "got mode='z'; allowed: 'r', 'w'"),
        ({"name": None}, "got name=None, a NoneType; allowed: str"),
        ({"name": 7}, "got name=7, a int"),
    ],
)
def test_what_is_wrong_is_refused_with_what_was_found_and_allowed(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(says)) as caught:
        signature.arguments((), GOOD | changes)
    assert caught.value.resource == "thing.made"


def test_a_parameter_may_allow_anything() -> None:
    class Loose:
        async def make(self, target: Any, rest=None) -> "NeverDefined":  # type: ignore[no-untyped-def,name-defined]  # noqa: F821 - as strangers write
            """Make."""

    loose = Signature("thing.loose", Loose.make)

    assert loose.arguments((), {"target": 1, "rest": "x"}) == {"target": 1, "rest": "x"}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"thing\.made needs command, size, which was not given"):
        signature.arguments((), {})


@pytest.mark.parametrize(("args", "kwargs"), [(("one", 1, "echo"), {"name": "two"}), (range(99), {})])
def test_arguments_given_twice_or_too_often_are_refused(args: Any, kwargs: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="got too many arguments; allowed: name, size"):
        signature.arguments(tuple(args), kwargs)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.text()),
)


@given(st.dictionaries(st.sampled_from([*TYPES, "other"]), values))
@example(GOOD)
@example(GOOD | {"keep": True, "mode": "w"})
def test_any_request_is_accepted_as_it_is_or_refused(request: dict[str, Any]) -> None:
    right = {"size", "command"} <= request.keys() <= TYPES.keys() and all(
        type(value) in TYPES[key] for key, value in request.items() if key in TYPES
    )
    name = request.get("name", "x")
    right = right and request["size"] >= 0 and name.isprintable() and name != "" and "/" not in name
    if right:
        assert signature.arguments((), request) == request
    else:
        with pytest.raises(InvalidRequestError):
            signature.arguments((), request)


@given(st.text())
def test_a_name_is_refused_exactly_when_it_could_not_be_shown(name: str) -> None:
    fits = 1 <= len(name.encode("utf-8", "replace")) <= NAME_LIMIT
    if fits and name.isprintable() and "/" not in name and name not in {".", ".."}:
        check_name("kind", name)
    else:
        with pytest.raises(InvalidRequestError):
            check_name("kind", name)


def test_a_size_above_what_there_is_names_both() -> None:
    check_size("kind", 5, at_most=5)
    with pytest.raises(ResourceLimitError, match="kind got size 6, but /dev/shm has 5 bytes"):
        check_size("kind", 6, at_most=5, of="/dev/shm")
