"""Spans around what may take long, for programs that collect them; for all others they cost next to nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

TRACER_NAME = "framework"

_NOTHING = contextlib.nullcontext()


def span(name: str, **attributes: str | int) -> contextlib.AbstractContextManager[Any]:
    """Return a span to be entered; its attributes get the prefix `framework.`. An exception is recorded in it.

    What it gives is for `describe` and `fail`: the span, or None where nobody collects spans.

    OpenTelemetry is not imported for this: who collects spans has imported it.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return _NOTHING
    return _recorded(trace, name, _named(attributes))


def describe(one: Any, **attributes: str | int) -> None:
    """Add to what a span says, once more of it is known; for nothing where nobody collects spans."""
    if one is not None:
        one.set_attributes(_named(attributes))


def fail(one: Any, reason: str) -> None:
    """Say that what a span is about failed, though nothing was raised; for nothing where nobody collects spans."""
    if one is not None:
        trace = sys.modules["opentelemetry.trace"]
        one.set_status(trace.Status(trace.StatusCode.ERROR, reason))


@contextlib.contextmanager
def _recorded(trace: Any, name: str, attributes: dict[str, str | int]) -> Iterator[Any]:
    with trace.get_tracer(TRACER_NAME).start_as_current_span(name, attributes=attributes) as one:
        yield one


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {f"framework.{key}": value for key, value in attributes.items()}
