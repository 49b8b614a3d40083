"""`Size`: a number of bytes as people write it on a command line."""

from __future__ import annotations

import re
from typing import Any

import click

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<unit>[kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_FACTORS = {unit: 1024 ** (place + 1) for place, unit in enumerate("kmgt")}


class Size(click.ParamType[int]):
    """Bytes: `134217728`, `128M`, `128MiB` or `1.5g`; units count in steps of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        size = int(float(found["number"]) * _FACTORS.get((found["unit"] or "").lower(), 1)) if found else 0
        if size < 1:
            self.fail(f"{value!r} is no size; write it as 128MiB, 1GiB or 134217728", param, ctx)
        return size
