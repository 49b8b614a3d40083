"""`Fault`: what is found on the disk and cannot be used."""

from __future__ import annotations

from framework.frozen import Frozen


class Fault(Frozen):
    """Something installed that cannot be used: the plugin's name, or `? source` where it is not known, and why."""

    name: str
    distribution: str
    reason: str
