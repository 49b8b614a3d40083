"""`framework resources`: one module for each verb, which defines `command`; found by name and imported when used."""

from __future__ import annotations

from framework.cli.groups import VerbGroup

command = VerbGroup(
    __name__, __path__, name="resources", help="Show who holds what, what can be acquired, and give back what is left."
)
