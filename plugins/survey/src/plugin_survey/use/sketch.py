"""Sketches of texts, by which those that resemble each other are found without comparing each with each.

A text is the set of its shingles, all runs of `WIDTH` words; the likeness of two texts is the number of shingles that
they share, by the number that they have together (A. Broder, "On the resemblance and containment of documents", 1997).
A sketch is a MinHash by one permutation: hashes fall into bins, and each bin keeps the least (P. Li, A. Owen, C.-H.
Zhang, "One Permutation Hashing", 2012); an empty bin takes the value of the next one that is not, marked with the
distance (A. Shrivastava, P. Li, "Densifying One Permutation Hashing", 2014). Two texts agree in a bin about as often as
they are alike, so those that agree in all bins of a band are candidates: the more bins in a band, the fewer.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from itertools import islice

WIDTH = 4
"""Words in a shingle."""
BINS = 128
CONFIDENCE = 0.99
"""How probable it must be that two texts which are just alike enough become candidates."""
MOST_WORDS = 50_000
"""Words whose numbers are remembered."""
_WORD = re.compile(r"\w+")
_STEP = 0x9E3779B97F4A7C15  # odd, so that values borrowed from different distances differ
_MASK = (1 << 64) - 1


class _Numbers(dict[str, int]):
    """The number of each word, made where it is not known; so many at most that they take a few megabytes."""

    def __missing__(self, word: str) -> int:
        if len(self) >= MOST_WORDS:
            self.clear()
        number = self[word] = int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest())
        return number


_numbers = _Numbers()


def shingles(text: str) -> set[int]:
    """Return the hashes, of 64 bits with a sign, of all shingles of a text; one that is shorter than that has one.

    They are the same in every process: Python's hash is random only for texts, not for the numbers that they get here.
    """
    words = [*map(_numbers.__getitem__, _WORD.findall(text.casefold()))]
    if len(words) < WIDTH:
        return {hash(tuple(words))} if words else set()
    return set(map(hash, zip(*(islice(words, start, None) for start in range(WIDTH)), strict=False)))


def likeness(one: set[int], other: set[int]) -> float:
    """Return how alike two sets of shingles are, from 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def sketch(found: set[int]) -> list[int]:
    """Return the sketch of shingles, of which there must be some."""
    bins: list[int | None] = [None] * BINS
    for value in found:
        place, least = value % BINS, bins[value % BINS]
        if least is None or value < least:
            bins[place] = value
    return _dense(bins)


def _dense(bins: list[int | None]) -> list[int]:
    """Return the bins, an empty one with the value of the next that is not, which may be past the end."""
    dense = [0] * BINS
    value, distance = next(one for one in bins if one is not None), 0
    for place in reversed(range(2 * BINS)):  # past the end the bins begin anew
        own = bins[place % BINS]
        value, distance = (own, 0) if own is not None else (value, distance + 1)
        if place < BINS:
            dense[place] = (value + distance * _STEP) & _MASK
    return dense


def bands(values: list[int], rows: int) -> list[bytes]:
    """Return the bands of a sketch, of so many bins each."""
    return [b"".join(value.to_bytes(8) for value in values[start : start + rows]) for start in range(0, BINS, rows)]


def rows_for(least: float) -> int:
    """Return the largest size of a band by which texts that are so much alike are found with `CONFIDENCE`."""
    sizes = (16, 8, 4, 2, 1)
    return next((rows for rows in sizes if 1 - (1 - least**rows) ** (BINS // rows) >= CONFIDENCE), 1)
