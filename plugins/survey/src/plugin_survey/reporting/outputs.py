"""`Outputs`: the reports that a survey shall write, each in the format that the ending of its name says."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_survey.reporting.overview import Overview

FORMATS = (".html", ".json", ".xlsx")


@dataclass(frozen=True, slots=True)
class Output:
    """One report: where it goes, its format, and how the user named it."""

    path: str
    format: str
    named: str = field(default="", compare=False)

    @property
    def folder(self) -> str:
        """The directory that it goes into."""
        return os.path.dirname(self.path)

    def write(self, overview: Overview, draft: str, scratch: str, stopped: Callable[[], bool] = lambda: False) -> None:
        """Write the report into a draft, from which it is published.

        Args:
            overview: What it says.
            draft: An empty file in its folder.
            scratch: A folder for temporary files.
            stopped: Says whether what takes long shall end.

        Raises:
            InterruptedError: It was stopped.
            ResourceUnavailableError: There is no space, or it cannot be written.
        """
        try:
            _WRITERS[self.format](overview, draft, scratch, stopped)
        except InterruptedError:
            raise
        except OSError as error:
            raise ResourceUnavailableError(
                f"The report {self.path} could not be written: {error.strerror or error}.",
                "Make room, for a workbook also where temporary files go, or choose another place with --report; "
                "what was there before is untouched.",
                resource=self.path,
            ) from error


def outputs(paths: Sequence[str]) -> tuple[Output, ...]:
    """Return the reports to write, and refuse those that cannot be, before anything is surveyed.

    Args:
        paths: Where they shall go, as the user named them.

    Raises:
        InvalidRequestError: A name says no format, one is there twice, its folder is missing, or something else than a
            file is there.
    """
    found: dict[str, Output] = {}
    for path in paths:
        output = Output(os.path.realpath(path), _format(path), path)
        if output.path in found:
            raise InvalidRequestError(f"The report {path!r} is named twice.", "Name each report once.")
        _check(path, output)
        found[output.path] = output
    return tuple(found.values())


def check_free(reports: Sequence[Output], unfinished: Container[str]) -> None:
    """Refuse reports that are there already, unless a survey that was killed had put them there.

    Raises:
        InvalidRequestError: One is there.
    """
    for report in reports:
        if report.path not in unfinished and os.path.lexists(report.path):
            raise InvalidRequestError(
                f"The report {report.named!r} exists already, so it is not written.",
                "Choose another file, or use --force.",
            )


def absent_reports(reports: Sequence[Output]) -> frozenset[str]:
    """Return the paths, of those that the user named, at which nothing is."""
    return frozenset(report.path for report in reports if report.named and not os.path.lexists(report.path))


def check_still_free(report: Output) -> None:
    """Refuse a report where a file came to be; a folder is not replaced anyway, and force is no way out there.

    Raises:
        InvalidRequestError: A file is there.
    """
    if not os.path.isdir(report.path):
        check_free([report], ())


def _format(path: str) -> str:
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        what = f"ends in {ending!r}" if ending else "has no ending"
        raise InvalidRequestError(
            f"The report {path!r} {what}, which says no format; there are {', '.join(FORMATS)}.",
            "Choose one of these endings.",
        )
    return ending


def _check(path: str, output: Output) -> None:
    if not os.path.isdir(output.folder):
        raise InvalidRequestError(f"There is no folder {output.folder!r} to write {path!r} to.", "Make it first.")
    try:
        mode = os.lstat(output.path).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"The report {path!r} cannot be written: {error}.", "Choose another file.") from error
    if not stat.S_ISREG(mode):
        raise InvalidRequestError(
            f"The report {path!r} cannot be written: what is there is not a file.", "Choose another path."
        )


def _write_html(overview: Overview, draft: str, scratch: str, stopped: Callable[[], bool]) -> None:
    from plugin_survey.reporting.page import page  # what it needs costs some 40 ms, and most surveys make no page

    with open(draft, "w", encoding="utf-8", newline="\n") as target:
        target.write(page(overview))


def _write_json(overview: Overview, draft: str, scratch: str, stopped: Callable[[], bool]) -> None:
    from plugin_survey.reporting.report import write_report

    write_report(overview, draft)


def _write_xlsx(overview: Overview, draft: str, scratch: str, stopped: Callable[[], bool]) -> None:
    from plugin_survey.reporting.workbook import write_workbook

    write_workbook(overview, draft, scratch, stopped=stopped)


_WRITERS = {".html": _write_html, ".json": _write_json, ".xlsx": _write_xlsx}
