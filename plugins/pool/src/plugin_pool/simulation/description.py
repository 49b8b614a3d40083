"""Makes a workload of its description: plain data, as in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from framework.errors import InvalidRequestError, did_you_mean
from plugin_pool import reading
from plugin_pool.need import needed
from plugin_pool.records import ResourceInstance
from plugin_pool.simulation.law import Law
from plugin_pool.simulation.outcome import ALL
from plugin_pool.simulation.workload import Source, Stream, Workload

MOST_STREAMS = 1000
MOST_ENTITIES = 100_000
LONGEST = 1e9
"""Seconds of a duration or a gap; the shortest is its inverse, also as a rate."""

_WORKLOAD = ("resources", "arrival", "streams")
_STREAM = ("name", "requirements", "arrival", "share", "duration", "priority")
_ARRIVAL = ("poisson", "every")
_DURATION = ("exponential", "fixed", "uniform")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_AS_YAML = "To YAML that is a text; write all digits, or a point and a sign, as in 1.0e+6."


def workload(given: object, configured: Sequence[object] = ()) -> Workload:
    """Return the workload that plain data describes.

    Args:
        given: A mapping of `streams`, and if need be `resources` and a common `arrival`.
        configured: The entities where there are no `resources`.

    Raises:
        InvalidRequestError: A field is unknown, missing or wrong.
    """
    found = _mapping(given, _WORKLOAD, "The workload")
    listed = _listed(found["resources"], "The resources") if "resources" in found else configured
    entities = tuple(_entities(listed))
    if not entities:
        raise InvalidRequestError(
            "The workload has no resources, and neither has the configuration.",
            "List them under `resources:` in the workload, or under `plugins: pool: resources:`.",
        )
    streams = _listed(found.get("streams"), "The streams")
    if not 1 <= len(streams) <= MOST_STREAMS:
        raise InvalidRequestError(
            f"The workload has {len(streams):,} streams; 1 to {MOST_STREAMS:,} are allowed.", "Add a list `streams:`."
        )
    return Workload(entities, tuple(_sources(found.get("arrival"), streams)))


def _entities(listed: Sequence[object]) -> Iterator[ResourceInstance]:
    seen: set[str] = set()
    for one in listed:
        for entity in _alike(one):
            if entity.id in seen:
                raise InvalidRequestError(f"The workload has a resource {entity.id!r} twice.", "Give each another id.")
            if len(seen) == MOST_ENTITIES:
                raise InvalidRequestError(
                    f"The workload has more than {MOST_ENTITIES:,} resources.", "Simulate a part of the pool."
                )
            seen.add(entity.id)
            yield entity


def _alike(given: object) -> Iterator[ResourceInstance]:
    """Yield the entity that is described, or as many as `count` says, numbered."""
    if not isinstance(given, Mapping) or "count" not in given:
        yield reading.entity(given)
        return
    entity = reading.entity({name: value for name, value in given.items() if name != "count"})
    for number in range(1, reading.number(given["count"], "The count of a resource", MOST_ENTITIES) + 1):
        name = f"{entity.id}-{number}"
        yield replace(entity, id=name, name=name)


def _sources(common: object, listed: Sequence[object]) -> Iterator[Source]:
    """Yield a source for all streams that share the common arrival, and one for each that has its own."""
    names: set[str] = set()
    own: list[Source] = []
    shared: list[Stream] = []
    shares: list[float] = []
    for number, one in enumerate(listed, 1):
        fields = _mapping(one, _STREAM, f"Stream {number}")
        stream = _stream(fields, number)
        if stream.name in names or stream.name == ALL:
            why = "is what all tasks are called" if stream.name == ALL else "is there twice"
            raise InvalidRequestError(f"The stream {stream.name!r} {why}.", "Give it another name.")
        names.add(stream.name)
        if "arrival" in fields and "share" in fields:
            raise InvalidRequestError(
                f"The stream {stream.name!r} has an arrival and a share.",
                "A share is of the arrival of the whole workload; leave one of them out.",
            )
        if "arrival" in fields:
            own.append(Source(_gap(fields["arrival"], f"the stream {stream.name!r}"), (stream,)))
        else:
            shared.append(stream)
            shares.append(_number(fields.get("share", 1), f"The share of the stream {stream.name!r}", LONGEST))
    if shared and common is None:
        raise InvalidRequestError(
            f"The stream {shared[0].name!r} has no arrival, and neither has the workload.",
            "Give it one, as {poisson: 2} for two tasks a second, or {every: 60} for one a minute.",
        )
    if common is not None and not shared:
        raise InvalidRequestError(
            "The workload has an arrival, and no stream that has a share of it.", "Leave one of them out."
        )
    if shared:
        yield Source(_gap(common, "the workload"), tuple(shared), tuple(shares))
    yield from own


def _stream(fields: Mapping[str, Any], number: int) -> Stream:
    name = reading.text(fields.get("name", f"stream-{number}"), f"The name of stream {number}")
    about = f"the stream {name!r}"
    try:
        required = reading.requirements(_needs(fields.get("requirements"), about))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"In {about}: {error.problem}", error.remedy) from error
    priority = fields.get("priority", 0.0)
    if isinstance(priority, bool) or not isinstance(priority, int | float) or not abs(priority) <= LONGEST:
        raise InvalidRequestError(
            f"The priority of {about} is {priority!r:.60}; a number from {-LONGEST:.0e} to {LONGEST:.0e} is allowed.",
            "Leave it out for 0.",
        )
    return Stream(name, tuple(required), _duration(fields.get("duration"), about), float(priority))


def _needs(given: object, about: str) -> list[object]:
    if given is None:
        raise InvalidRequestError(
            f"{about[0].upper()}{about[1:]} has no requirements.", "Give them as '2*executor:web_search=5', or a list."
        )
    return [needed(one) if isinstance(one, str) else one for one in (given if isinstance(given, list) else [given])]


def _gap(given: object, about: str) -> Law:
    name, value = _choice(given, _ARRIVAL, f"The arrival of {about}", "{poisson: 2} for two tasks a second")
    if name == "poisson":
        return Law.exponential(1 / _number(value, f"The rate of {about}", LONGEST))
    return Law.fixed(_number(value, f"The time between two tasks of {about}", LONGEST))


def _duration(given: object, about: str) -> Law:
    if isinstance(given, int | float) or (isinstance(given, str) and _EXPONENT.fullmatch(given)):
        given = {"fixed": given}
    subject = f"The duration of {about}"
    name, value = _choice(given, _DURATION, subject, "{exponential: 1.5}, a mean in seconds")
    if name != "uniform":
        return Law(name, seconds := _number(value, subject, LONGEST), seconds)
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidRequestError(f"{subject} is uniform in {value!r:.60}; two times are needed.", "Write [1, 3].")
    low, high = [_number(one, subject, LONGEST) for one in value]
    if low > high:
        raise InvalidRequestError(f"{subject} is from {low:g} to {high:g}, which is less.", "Exchange them.")
    return Law.uniform(low, high)


def _choice(given: object, known: tuple[str, ...], subject: str, example: str) -> tuple[str, object]:
    """Return the one field of a mapping, which says what its value means."""
    if given is None:
        raise InvalidRequestError(f"{subject} is missing.", f"Give it, as {example}.")
    found = _mapping(given, known, subject)
    if len(found) != 1:
        raise InvalidRequestError(
            f"{subject} has {len(found)} fields; one of {', '.join(known)} is allowed.", f"Write it as {example}."
        )
    return next(iter(found.items()))


def _number(given: object, subject: str, most: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 1 / most <= given <= most:  # nan is neither
        raise InvalidRequestError(
            f"{subject} is {given!r:.60}; a number from {1 / most:g} to {most:g} is allowed.",
            _AS_YAML if isinstance(given, str) and _EXPONENT.fullmatch(given) else "Give it such a number.",
        )
    return float(given)


def _mapping(given: object, known: tuple[str, ...], subject: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"{subject} is {given!r:.60}; a mapping of {', '.join(known)} is allowed.", "`--example` prints a workload."
        )
    if strange := [one for one in given if one not in known]:
        raise InvalidRequestError(
            f"{subject} has the unknown field {strange[0]!r:.60}; known are {', '.join(known)}.",
            did_you_mean(str(strange[0]), known) or "Leave it out.",
        )
    return given


def _listed(given: object, subject: str) -> Sequence[object]:
    if not isinstance(given, list | tuple):
        raise InvalidRequestError(f"{subject} are {given!r:.60}; a list is allowed.", "Write them as a list.")
    return given
