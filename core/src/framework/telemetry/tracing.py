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

    OpenTelemetry is not imported for this: who collects spans has imported it.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return _NOTHING
    named = {f"framework.{key}": value for key, value in attributes.items()}
    return _recorded(trace, name, named)


@contextlib.contextmanager
def _recorded(trace: Any, name: str, attributes: dict[str, str | int]) -> Iterator[Any]:
    with trace.get_tracer(TRACER_NAME).start_as_current_span(name, attributes=attributes) as one:
        yield one
