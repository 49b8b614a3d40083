"""`check` and `text`: the two questions that one asks a file, whatever its type."""

from __future__ import annotations

from plugin_survey.formats.bounds import Bounds, Tally
from plugin_survey.formats.finding import DAMAGED, OK, UNCHECKED, Damaged, Finding, Unchecked
from plugin_survey.formats.gathered import Enough, Gathered, Text
from plugin_survey.formats.registry import BY_KIND
from plugin_survey.formats.source import Path, Source

DEFAULT = Bounds()


def check(path: Path, kind: str, *, bounds: Bounds = DEFAULT) -> Finding:
    """Return whether a file is whole and its content agrees with itself, as far as its type lets one tell.

    The file is read piece by piece and never followed to another one; what is in it is never trusted.

    Args:
        path: A regular file.
        kind: What `kind_of` said; a type without a check is "unchecked", without a problem.
        bounds: What the check may cost.

    Raises:
        OSError: The file itself cannot be opened or read.
        MemoryError: There is less memory than the bounds allow to take; more may help, so it is no finding.
    """
    known = BY_KIND.get(kind)
    if known is None or known.check is None:
        return Finding(kind, UNCHECKED)
    with Source(path) as source:
        tally = Tally(bounds, source.size)
        verdict, problem = OK, ""
        try:
            known.check(source, tally)
        except Damaged as error:
            verdict, problem = DAMAGED, str(error)
        except Unchecked as error:
            verdict, problem = UNCHECKED, str(error)
        return Finding(kind, verdict, problem, tally.members, tally.expanded_bytes)


def text(path: Path, kind: str, *, bounds: Bounds = DEFAULT) -> Text:
    """Return the text of a file, empty for types that have none; the note says what could not be read.

    Args:
        path: A regular file.
        kind: What `kind_of` said.
        bounds: How much text is wanted, and what it may cost.

    Raises:
        OSError: The file itself cannot be opened or read.
        MemoryError: There is less memory than the bounds allow to take; more may help, so it is no finding.
    """
    known = BY_KIND.get(kind)
    if known is None or known.read is None:
        return Text("", "")
    gathered = Gathered(bounds)
    with Source(path) as source:
        try:
            known.read(source, gathered)
        except Enough:
            gathered.truncated = True
        except (Damaged, Unchecked) as error:
            gathered.note = str(error)
    return gathered.finish()
