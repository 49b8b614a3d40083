"""Which catalogue is meant, and which part of it."""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click

from framework import CommandContext
from framework.errors import FrameworkError, InvalidRequestError
from plugin_survey.use.quoting import quoted
from plugin_survey.use.reader import Reader, reading

OWNER = "survey"


class Chosen(NamedTuple):
    """A catalogue, and the folder or file that is meant of what is in it; None where everything is."""

    reader: Reader
    below: bytes | None

    @property
    def limits(self) -> dict[str, bytes]:
        """The values of the parameters of `BELOW`."""
        path = (self.below or b"").rstrip(b"/")
        return {"path": path, "first": path + b"/", "end": path + b"0"}  # 0 comes after / in every encoding of names


BELOW = "(:path = x'' OR path = :path OR (path >= :first AND path < :end))"
"""Condition in SQL for a file that is meant; its parameters are `Chosen.limits`."""


@contextmanager
def chosen(context: CommandContext, path: str | None, catalogue: str | None) -> Iterator[Chosen]:
    """Open the catalogue that is named, or the one that the last survey of a path or of a folder above it left.

    Without either it is the latest of all surveys in the user's state directory, and the user is told.

    Raises:
        InvalidRequestError: There is none, or no file at or below the path is in it.
        ResourceError: It is damaged.
    """
    below = os.fsencode(os.path.abspath(path)) if path is not None else None
    if catalogue is None:
        catalogue = _latest(_published(context), below)
        if catalogue is None:
            subject = "anything" if below is None else f"{quoted(below)} or a folder above it"
            raise InvalidRequestError(
                f"There is no catalogue of a survey of {subject}.", "Survey it first, or name one with --catalogue."
            )
    with reading(os.path.abspath(catalogue)) as reader:
        if path is None:
            names = " ".join(map(quoted, reader.roots))
            context.message(f"of {names}, surveyed {reader.surveyed}")
        found = Chosen(reader, below)
        _check_surveyed(found)
        yield found


def _check_surveyed(found: Chosen) -> None:
    """Refuse a path that was not surveyed, of which it would be said that all is well."""
    below = found.below
    if below is None or any(is_below(root, below) for root in found.reader.roots):
        return
    if not found.reader.value(f"SELECT EXISTS (SELECT 1 FROM file WHERE {BELOW})", found.limits):  # noqa: S608 - a constant
        raise InvalidRequestError(
            f"No file at or below {quoted(below)} was surveyed.", "Check the spelling, or survey it first."
        )


def find(context: CommandContext, name: str) -> str:
    """Return the path of a catalogue that is named by its file, or by the folder that was surveyed.

    Raises:
        InvalidRequestError: There is none.
    """
    if os.path.isfile(name):
        return os.path.abspath(name)
    below = os.fsencode(os.path.abspath(name))
    found = _latest(_published(context), below)
    if found is None:
        raise InvalidRequestError(
            f"{name!r} is neither a catalogue nor in a folder that was surveyed.", "Check the spelling."
        )
    return found


def _published(context: CommandContext) -> list[str]:
    folder = asyncio.run(_state_directory(context))
    return glob.glob(os.path.join(glob.escape(folder), "*", "catalogue.sqlite"))


async def _state_directory(context: CommandContext) -> str:
    async with context.open() as framework:
        folder: str = framework.state_directory(OWNER)
    return folder


def _latest(catalogues: list[str], below: bytes | None) -> str | None:
    """Return the newest catalogue of a path, the one whose root is nearest to it."""
    best: tuple[int, float, str] | None = None
    broken: list[FrameworkError] = []
    for path in catalogues:
        try:
            with reading(path) as reader:
                depths = [len(root) for root in reader.roots if below is None or is_below(below, root)]
                if depths:
                    found = (0 if below is None else max(depths), reader.finished_at, path)
                    best = found if best is None else max(best, found)
        except FrameworkError as error:
            broken.append(error)
    if best is None and broken:
        raise broken[0]
    return best[2] if best else None


def is_below(path: bytes, root: bytes) -> bool:
    """Return whether a path is a root or in it."""
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


catalogue_option = click.option(
    "--catalogue", metavar="FILE", type=click.Path(), help="The catalogue; default: that of the last survey."
)
