"""`Places`: where a survey puts its catalogue and its reports."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.cataloguing.former import check_replaceable
from plugin_survey.reading.fingerprint import Identity
from plugin_survey.reporting.outputs import Output
from plugin_survey.reporting.publication import Publication

_SLUG_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Places:
    """The absolute path of the catalogue, and the reports."""

    catalogue: str
    reports: tuple[Output, ...]

    def are_there(self) -> bool:
        """Return whether the catalogue and every report are where they were put."""
        return all(os.path.exists(path) for path in (self.catalogue, *(report.path for report in self.reports)))

    def identities(self) -> frozenset[Identity]:
        """Return device and inode of what is there now, and will be replaced."""
        return identities(self.catalogue, self.publication.path, *(report.path for report in self.reports))

    @property
    def publication(self) -> Publication:
        """What is noted while they are being put in their places."""
        return Publication(self.catalogue)


def absolute_roots(paths: Sequence[str]) -> tuple[bytes, ...]:
    """Return the roots as absolute byte paths.

    Raises:
        InvalidRequestError: One does not exist, or may not be looked at.
    """
    for path in paths:
        try:
            os.stat(path)
        except (OSError, ValueError) as error:  # ValueError: a null character
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise InvalidRequestError(f"{path!r} cannot be surveyed: {reason}.", "Check the spelling.") from error
    return tuple(os.fsencode(os.path.abspath(path)) for path in paths)


def check_catalogue(catalogue: str, reports: Sequence[Output]) -> None:
    """Refuse a catalogue that cannot be written, or would destroy something else.

    Raises:
        InvalidRequestError: The folder is missing, or something else is there.
    """
    if not catalogue:
        raise InvalidRequestError("The path of the catalogue is empty.", "Name a file, or leave it out.")
    if os.path.realpath(catalogue) in {report.path for report in reports}:
        raise InvalidRequestError(f"Catalogue and report are both to be {catalogue!r}.", "Choose two files.")
    folder = os.path.dirname(os.path.realpath(catalogue))
    if not os.path.isdir(folder):
        raise InvalidRequestError(f"There is no folder {folder!r} to write {catalogue!r} to.", "Make it first.")
    check_replaceable(catalogue)


@contextmanager
def places(
    roots: Sequence[bytes], catalogue: str | None, reports: tuple[Output, ...], state_directory: Callable[[], str]
) -> Iterator[Places]:
    """Give the places, by default in the user's state directory; a folder made for nothing is removed again.

    What is in the state directory is the survey's own, so a former report there is replaced.

    Raises:
        ResourceUnavailableError: The default folder cannot be made.
    """
    if catalogue is not None and reports:
        yield Places(os.path.realpath(catalogue), reports)
        return
    folder = os.path.join(state_directory(), folder_name(roots))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ResourceUnavailableError(
            f"The folder {folder!r} cannot be made: {error.strerror}.", "Use --catalogue and --report."
        ) from error
    folder = os.path.realpath(folder)
    try:
        yield Places(
            os.path.realpath(catalogue or os.path.join(folder, "catalogue.sqlite")),
            reports or (Output(os.path.join(folder, "report.json"), ".json"),),
        )
    finally:
        with suppress(OSError):  # something is in it, as it should be
            os.rmdir(folder)


def folder_name(roots: Sequence[bytes]) -> str:
    """Return a name that people recognise and no other set of roots has."""
    name = os.path.basename(roots[0]).decode(errors="replace")
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:_SLUG_LIMIT] or "root"
    return f"{slug}-{sha256(bytes(1).join(sorted(roots))).hexdigest()[:12]}"


def identities(*paths: str) -> frozenset[Identity]:
    """Return device and inode of those paths that exist."""
    found = set()
    for path in paths:
        with suppress(OSError):
            status = os.stat(path)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
