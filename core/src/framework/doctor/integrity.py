"""Compares the files of a distribution with the hashes that its installer wrote into RECORD."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass

from framework import installed
from framework.installed import Recorded

_ALGORITHMS = {"sha256", "sha384", "sha512"}


@dataclass(frozen=True, slots=True)
class Integrity:
    """How many files were compared, a sentence for each that is missing or another, or why none was compared."""

    compared: int = 0
    problems: tuple[str, ...] = ()
    skipped: str = ""


def verify(distribution: str) -> Integrity:
    """Compare every file of an installed distribution for which a hash is recorded."""
    folder = installed.distributions().get(installed.normalised(distribution), "")
    if not folder:
        return Integrity(skipped="It does not come from an installed distribution.")
    if installed.is_editable(folder):
        return Integrity(skipped="It is installed editable: its files are meant to change.")
    listed = [one for one in installed.recorded(folder) if one.algorithm in _ALGORITHMS]
    if not listed:
        return Integrity(skipped="Its installer recorded no hashes.")
    problems = [_problem(one, os.path.dirname(folder)) for one in listed]
    return Integrity(len(listed), tuple(problem for problem in problems if problem))


def _problem(one: Recorded, outside: str) -> str:
    file = os.path.join(outside, one.path)
    if not installed.is_plain(file):
        return f"The file {one.path} is missing."
    try:
        with open(file, "rb") as stream:
            digest = hashlib.file_digest(stream, one.algorithm).digest()
    except OSError as error:
        return f"The file {one.path} cannot be read: {error.strerror}."
    found = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return "" if found == one.digest.rstrip("=") else f"The file {one.path} was changed after it was installed."
