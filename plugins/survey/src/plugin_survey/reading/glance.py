"""`glance`: one number for all that a survey would find, by which a watch tells whether anything has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.reading.fingerprint import Identity
from plugin_survey.reading.walk import Walker

_MASK = (1 << 64) - 1


def glance(walker: Walker, own: frozenset[Identity], stopped: Callable[[], bool] = lambda: False) -> int:
    """Return a number that is another one once a file, its times, or what cannot be read has changed; reads no file.

    It means something in this process only, and two states have the same with a probability of 2 to the power of -64.
    What may change again without another time stamp is taken for changed.

    Args:
        walker: A walker at its start.
        own: Files that are passed over, because the survey itself writes them.
        stopped: Whether nobody wants the number any more.
    """
    total, unsettled = 0, time.time_ns() - UNSETTLED_NS
    while not stopped() and (portion := walker.portion()) is not None:
        for path in portion:
            try:
                found = os.lstat(path)
            except OSError as error:
                total += hash((path, error.errno))
                continue
            if (found.st_dev, found.st_ino) not in own:
                total += hash((path, *found[:3], found.st_size, found.st_mtime_ns, found.st_ctime_ns))
                if found.st_ctime_ns >= unsettled:
                    total += hash((path, time.time_ns()))
    counts = asdict(walker.counts)
    del counts["files"]  # the survey's own are among them
    return total + hash((*counts.values(), *sorted(walker.take_problems()))) & _MASK
