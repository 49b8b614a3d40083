"""`Places`: where a survey puts its catalogue and its report."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey import catalogue as catalogues
from plugin_survey import report as reports
from plugin_survey.fingerprint import Identity

_SLUG_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths of the catalogue and the report."""

    catalogue: str
    report: str

    def identities(self) -> frozenset[Identity]:
        """Return device and inode of what is there now, and will be replaced."""
        return identities(self.catalogue, self.report)


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


def check_targets(catalogue: str | None, report: str | None) -> None:
    """Refuse targets that cannot be written, or would destroy something else.

    Raises:
        InvalidRequestError: The folder is missing, or something else is there.
    """
    if catalogue is not None and report is not None and os.path.realpath(catalogue) == os.path.realpath(report):
        raise InvalidRequestError(f"Catalogue and report are both to be {catalogue!r}.", "Choose two files.")
    for target, check in ((catalogue, catalogues.check_replaceable), (report, reports.check_replaceable)):
        if target is None:
            continue
        if not target:
            raise InvalidRequestError(
                "The path of the catalogue or the report is empty.", "Name a file, or leave it out."
            )
        folder = os.path.dirname(os.path.realpath(target))
        if not os.path.isdir(folder):
            raise InvalidRequestError(f"There is no folder {folder!r} to write {target!r} to.", "Make it first.")
        check(target)


@contextmanager
def places(
    roots: Sequence[bytes], catalogue: str | None, report: str | None, state_directory: Callable[[], str]
) -> Iterator[Places]:
    """Give the places, by default in the user's state directory; a folder made for nothing is removed again.

    Raises:
        ResourceUnavailableError: The default folder cannot be made.
    """
    if catalogue is not None and report is not None:
        yield Places(os.path.realpath(catalogue), os.path.realpath(report))
        return
    folder = os.path.join(state_directory(), folder_name(roots))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ResourceUnavailableError(
            f"The folder {folder!r} cannot be made: {error.strerror}.", "Use --catalogue and --report."
        ) from error
    try:
        yield Places(
            os.path.realpath(catalogue or os.path.join(folder, "catalogue.sqlite")),
            os.path.realpath(report or os.path.join(folder, "report.json")),
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
