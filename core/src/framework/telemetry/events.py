"""Structured log events, named `noun_verb`.

They go through structlog to the standard library's logger `framework`, so that an application decides where they end;
`configure_logging` is for programs that have nothing of their own. structlog costs some 100 ms to import, so it is
imported by the first event that somebody listens to.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger, ProcessorFormatter

LOGGER_NAME = "framework"


class EventLogger:
    """Logs events with fields: `logger.warning("plugin_blocked", plugin="x")`."""

    def __init__(self) -> None:
        self._target = logging.getLogger(LOGGER_NAME)
        self.is_enabled_for = self._target.isEnabledFor
        """Return whether anybody listens to events of a level, for those who gather fields at some cost."""

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer of the framework wants to see."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log that something went as it should."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something that an operator should look at."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log that something failed."""
        self._log(logging.ERROR, event, fields)

    def log(self, level: int, event: str, **fields: object) -> None:
        """Log an event of a level of the module `logging`."""
        self._log(level, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._target.isEnabledFor(level):
            with contextlib.suppress(MemoryError):  # the line is lost, but what it tells of is not made worse
                _bound().log(level, event, **fields)


_LOGGER = EventLogger()


def get_logger() -> EventLogger:
    """Return the logger of the framework's events."""
    return _LOGGER


class Event(dict[str, Any]):
    """What is logged: a mapping for structlog's formatters, one readable line for any other."""

    def __str__(self) -> str:
        rest = " ".join(f"{key}={value}" for key, value in self.items() if key not in {"event", "level"})
        return f"{self.get('event')} {rest}".rstrip()


def configure_logging(level: str = "warning", style: str = "console") -> None:
    """Send the framework's events to standard error; a second call replaces what the first one set up.

    Args:
        level: Least severe level shown: `debug`, `info`, `warning` or `error`.
        style: `console` for people, `json` for one JSON object a line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(style))
    logger = logging.getLogger(LOGGER_NAME)
    for former in list(logger.handlers):
        if isinstance(former.formatter, _Formatter):
            logger.removeHandler(former)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


class _Formatter(logging.Formatter):
    """structlog's formatter, built when the first event is written."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._rendering = style

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as one line."""
        return self._formatter.format(record)

    @functools.cached_property
    def _formatter(self) -> ProcessorFormatter:
        import structlog

        plain = structlog.dev.ConsoleRenderer(colors=False)
        renderer: Any = structlog.processors.JSONRenderer() if self._rendering == "json" else plain
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        return structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, stamp, renderer],
            foreign_pre_chain=[structlog.stdlib.add_log_level],
        )


@functools.cache
def _bound() -> BoundLogger:
    import structlog

    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(LOGGER_NAME),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, _for_any_formatter],
        cache_logger_on_first_use=True,
    )
    return logger


def _for_any_formatter(logger: Any, name: str, event: Any) -> Any:
    from structlog.stdlib import ProcessorFormatter

    (wrapped,), options = ProcessorFormatter.wrap_for_formatter(logger, name, event)
    return (Event(wrapped),), options
