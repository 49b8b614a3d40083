"""File formats: what type a file has, whether it is whole, and what text is in it. Nothing here knows of surveys.

`kind_of` names the type, `check` returns a `Finding`, `text` a `Text`; `Bounds` limits what one file may cost. Every
malformed content becomes a finding or a note; only the system's own errors are raised, want of memory among them.
"""

from plugin_survey.formats.bounds import Bounds
from plugin_survey.formats.finding import DAMAGED, OK, UNCHECKED, Finding
from plugin_survey.formats.gathered import Text
from plugin_survey.formats.inspection import check, text
from plugin_survey.formats.kinds import HEAD, kind_of

__all__ = ["DAMAGED", "HEAD", "OK", "UNCHECKED", "Bounds", "Finding", "Text", "check", "kind_of", "text"]
