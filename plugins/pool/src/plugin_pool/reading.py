"""Reads entities and requirements from records, from any objects with the same attributes, or from plain mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool.records import Capability, CapabilityRequirement, ReleaseReason, ResourceInstance, ResourceRequirement
from plugin_pool.vocabulary import (
    LEVELS,
    LONGEST_NAME,
    MOST_CAPACITY,
    MOST_NAMED,
    MOST_REQUIREMENTS,
    MOST_UNITS,
    MOST_WORDS,
)

T = TypeVar("T")

_ENTITY = ("id", "type", "name", "capabilities", "labels", "capacity", "status")
_REQUIREMENT = ("type", "capabilities", "count", "optional", "labels", "ids")


def entity(given: object) -> ResourceInstance:
    """Return what an entity is to be; its status is not taken over.

    Raises:
        InvalidRequestError: A field is unknown, missing or wrong.
    """
    found = fields(given, _ENTITY, "resource")
    name = text(found.get("id"), "The id of a resource")
    about = f"resource {name!r}"
    return ResourceInstance(
        id=name,
        type=text(found.get("type"), f"The type of {about}"),
        name=text(found["name"], f"The name of {about}") if found.get("name") else name,
        capabilities=_capabilities(found.get("capabilities"), "level", about, Capability),
        labels=_labels(found.get("labels"), about),
        capacity=number(found.get("capacity", 1), f"The capacity of {about}", MOST_CAPACITY),
    )


def requirement(given: object) -> ResourceRequirement:
    """Return what is required.

    Raises:
        InvalidRequestError: A field is unknown, missing or wrong.
    """
    found = fields(given, _REQUIREMENT, "requirement")
    ids = _ids(found.get("ids"))
    kind = found.get("type") or ""
    if kind or not ids:
        kind = text(kind, "The type of a requirement")
    about = f"a requirement for {kind or ids[0]!r}"
    count = number(found.get("count", len(ids) or 1), f"The count of {about}", MOST_UNITS)
    if ids and count not in (1, len(ids)):
        raise InvalidRequestError(f"The count of {about} is {count}, but it names {len(ids)}.", "Leave count out.")
    return ResourceRequirement(
        type=kind,
        capabilities=_capabilities(found.get("capabilities"), "min_level", about, CapabilityRequirement),
        count=len(ids) or count,
        optional=_flag(found.get("optional", False), f"`optional` of {about}"),
        labels=_labels(found.get("labels"), about),
        ids=ids,
    )


def requirements(given: object) -> list[ResourceRequirement]:
    """Return what is required, from one requirement or any number of them; equal ones are added up.

    Raises:
        InvalidRequestError: There are none or too many, or one is wrong.
    """
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, str):
        given = [given]
    found: list[ResourceRequirement] = []
    counts: list[int] = []
    places: dict[object, int] = {}
    for read in _read(given):
        alone = read.ids or read.optional
        key = read.type, read.capabilities, tuple(read.labels.items())
        place = len(found) if alone else places.setdefault(key, len(found))
        if place == len(found):
            found.append(read)
            counts.append(0)
        counts[place] += read.count
        if counts[place] > MOST_UNITS or len(found) > MOST_REQUIREMENTS:  # at once: there may be no end of them
            raise _too_many(len(found))
    if not found:
        raise InvalidRequestError("A request has no requirements.", "Give at least one, as {'type': 'executor'}.")
    return [one if count == one.count else replace(one, count=count) for one, count in zip(found, counts, strict=True)]


def _read(given: Iterable[object]) -> Iterator[ResourceRequirement]:
    """Read each requirement; of a list that has the same object several times in a row, once."""
    former, read = None, None
    for one in given:
        if read is None or one is not former or not isinstance(given, list | tuple):
            read = requirement(one)
        former = one
        yield read


def _too_many(different: int) -> InvalidRequestError:
    if different > MOST_REQUIREMENTS:
        return InvalidRequestError(
            f"A request has more than {MOST_REQUIREMENTS:,} different requirements.", "Divide it into several requests."
        )
    return InvalidRequestError(
        f"A request asks for more than {MOST_UNITS:,} entities.", "Divide it into several requests."
    )


def text(given: object, subject: str) -> str:
    """Return a text that can be printed and is not empty.

    Raises:
        InvalidRequestError: It is something else.
    """
    if not isinstance(given, str) or not given or len(given) > LONGEST_NAME or not given.isprintable():
        shown = repr(given)[:60]
        allowed = f"a text of 1 to {LONGEST_NAME} printable characters is allowed"
        raise InvalidRequestError(f"{subject} is {shown}; {allowed}.", "Give it such a text.")
    return given


def number(given: object, subject: str, most: int) -> int:
    """Return a whole number from 1 to `most`.

    Raises:
        InvalidRequestError: It is something else.
    """
    if type(given) is not int or not 1 <= given <= most:
        allowed = f"a whole number from 1 to {most:,} is allowed"
        raise InvalidRequestError(f"{subject} is {given!r:.60}; {allowed}.", "Give it such a number.")
    return given


def reason(given: object) -> ReleaseReason:
    """Return a reason of a release.

    Raises:
        InvalidRequestError: There is none of that name.
    """
    try:
        return ReleaseReason(given)  # type: ignore[arg-type]  # what it does not know is refused below
    except ValueError:
        raise InvalidRequestError(
            f"The reason of a release is {given!r:.60}; {', '.join(ReleaseReason)} are allowed.",
            did_you_mean(str(given), [one.value for one in ReleaseReason]) or "Use one of them.",
        ) from None


def fields(given: object, known: tuple[str, ...], what: str) -> Mapping[str, Any]:
    """Return the fields that are there by name."""
    if type(given) is dict or isinstance(given, Mapping):
        if strange := [one for one in given if one not in known]:
            raise InvalidRequestError(
                f"A {what} has the unknown field {strange[0]!r:.60}; known are {', '.join(known)}.",
                did_you_mean(str(strange[0]), known) or "Leave it out.",
            )
        return given
    found = {name: value for name in known if not callable(value := getattr(given, name, callable))}
    if not found:
        raise InvalidRequestError(
            f"A {what} is {given!r:.60}; a mapping or an object with {', '.join(known)} is allowed.",
            "Give it as {'type': 'executor', …}.",
        )
    return found


def _capabilities(given: Any, level: str, about: str, make: Callable[[str, int], T]) -> tuple[T, ...]:
    """Read `[{"type": …, level: …}]`, `{type: level}`, or `[type]`; sorted by type, without what has a level of all."""
    pairs: dict[str, int] = {}
    for one in given.items() if isinstance(given, Mapping) else _listed(given, f"The capabilities of {about}"):
        name, value = _capability(one, level, about)
        name = text(name, f"A capability of {about}")
        if type(value) is not int or value not in LEVELS:
            raise InvalidRequestError(
                f"The level of {name!r} of {about} is {value!r:.60}; 1 to {LEVELS[-1]} are allowed.",
                "10 is the best, 1 is anything.",
            )
        if pairs.setdefault(name, value) != value:
            raise InvalidRequestError(
                f"The capability {name!r} of {about} has the levels {pairs[name]} and {value}.", "Give it once."
            )
        if len(pairs) > MOST_WORDS:
            raise InvalidRequestError(
                f"There are more than {MOST_WORDS:,} capabilities of {about}.", "Name only those that matter."
            )
    return tuple([make(name, pairs[name]) for name in sorted(pairs)])


def _capability(given: Any, level: str, about: str) -> tuple[Any, Any]:
    default = 1 if level == "min_level" else LEVELS[-1]
    if isinstance(given, str):
        return given, default
    if isinstance(given, tuple) and len(given) == 2:
        return given[0], given[1]
    found = fields(given, ("type", level), f"capability of {about}")
    return found.get("type"), found.get(level, default)


def _labels(given: Any, about: str) -> Mapping[str, str]:
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"The labels of {about} are {given!r:.60}; a mapping of texts is allowed.", "Give them as {'zone': 'a'}."
        )
    if len(given) > MOST_WORDS:
        raise InvalidRequestError(f"There are more than {MOST_WORDS:,} labels of {about}.", "Give fewer.")
    subject = f"A label of {about}"
    return {text(key, subject): text(given[key], subject) for key in sorted(given, key=str)}


def _ids(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = islice(_listed(given, "The ids of a requirement"), MOST_NAMED + 1)
    found = tuple([text(one, "An id in a requirement") for one in listed])
    if len(found) > MOST_NAMED:
        raise InvalidRequestError(
            f"A requirement names more than {MOST_NAMED:,} entities.", "Require them by what they can do, or by labels."
        )
    if len(set(found)) < len(found):
        raise InvalidRequestError(f"A requirement names an entity twice: {', '.join(found)}.", "Name each once.")
    return found


def _listed(given: Any, subject: str) -> Iterable[Any]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidRequestError(f"{subject} are {given!r:.60}; a list is allowed.", "Give a list.")
    return given


def _flag(given: object, subject: str) -> bool:
    if not isinstance(given, bool):
        raise InvalidRequestError(f"{subject} is {given!r:.60}; true or false is allowed.", "Give one of them.")
    return given
