from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from plugin_survey.duplicates import DuplicateGroup
from plugin_survey.reporting.gathering import gather, opened
from plugin_survey.reporting.overview import (
    Damage,
    Fault,
    FileFact,
    NearGroup,
    Overview,
    Sample,
    SizeCount,
    Stage,
    Totals,
    TypeCount,
)
from plugin_survey.reporting.report import Findings
from plugin_survey.survey import Means, Request, take_survey


class PoolWorkers:
    """The standard library's threads in the shape that a survey needs, so that no other plugin is."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return await asyncio.wrap_future(self._pool.submit(function, *args))


@pytest.fixture
def threads() -> Iterator[PoolWorkers]:
    with ThreadPoolExecutor(2) as pool:
        yield PoolWorkers(pool)


@pytest.fixture
def survey_of(threads: PoolWorkers, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Findings]:
    """Take a survey of some roots and return what was found; the catalogue lies outside of them."""

    def survey(
        *roots: str | bytes | os.PathLike[str], catalogue: str = "", again: bool = False, **options: Any
    ) -> Findings:
        path = catalogue or str(tmp_path_factory.mktemp("catalogue") / "catalogue.sqlite")
        with open(path, "rb" if again else "xb"):
            pass
        request = Request(tuple(os.fsencode(root) for root in roots), **options)
        return asyncio.run(take_survey(request, path, Means(threads, 2)))

    return survey


@pytest.fixture
def overview_of(
    survey_of: Callable[..., Findings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Overview]]:
    """Take a survey of some roots and return what a report says of it; its lists can be read until the test ends."""
    with ExitStack() as stack:

        def overview(*roots: str | bytes | os.PathLike[str], **options: Any) -> Overview:
            catalogue = str(tmp_path_factory.mktemp("catalogue") / "a catalogue? #1 \udcff.sqlite")
            found = survey_of(*roots, catalogue=catalogue, **options)
            return gather(found, stack.enter_context(opened(catalogue)), {"workers": 2})

        yield overview


HOSTILE = (
    b"/</script><script>document.title='taken'</script>.html",
    b"/\"'><img src=x onerror=document.title='taken'>",
    b"/--><!-- &lt; ]]>",
    b"/{{ 7*7 }}{% raw %}",
    b"/new\nline\r\x1b[31m\x00\x07",
    b"/latin-\xe9\xff",
    "/turned\u202egpj.exe\u200b".encode(),
    b'/=HYPERLINK("http://example.invalid")',
    b"/_x0041_ as a workbook writes A",
    b"/  two  spaces  ",
    "/日本語 עברית".encode(),
    b"/" + b"long" * 1000,
)
"""Names that try to be something else: markup, a template, commands of a terminal, a formula."""


@pytest.fixture
def hostile() -> tuple[bytes, ...]:
    return HOSTILE


@pytest.fixture
def nothing() -> Overview:
    """A survey that found nothing."""
    return Overview([b"/empty"], 0.0, 0.0, "0.1.0", "sha256", 1, Totals())


@pytest.fixture
def everything() -> Overview:
    """A survey that found something of each kind, under hostile names."""
    groups = [
        DuplicateGroup(1 << 20, bytes([at]) * 32, ((path, path + b" link"), (b"/copy",)))
        for at, path in enumerate(HOSTILE)
    ]
    return Overview(
        HOSTILE[:6],
        1_000_000_000.0,
        60.0,
        "0.1.0",
        "sha256",
        1,
        Totals(names=101, files=100, bytes=1 << 30, folders=7),
        settings={"exclude": ("*.tmp", "\udcff"), "one_file_system": True, "workers": 2, "max_memory": "128 MiB"},
        stages=[Stage("walk", 0.5), Stage("fingerprint", 61.0, 100, 1 << 30)],
        skipped={"symlinks": 3, "pipes": 0},
        types=[TypeCount("PNG image", 60, 1 << 29, 2), TypeCount("</title>\x1b", 40, 1 << 28)],
        sizes=[SizeCount(0, 1, 0), SizeCount(1, 0, 0), SizeCount(1024, 99, 1 << 30)],
        largest=[FileFact(path, 1 << 20, 1e9) for path in HOSTILE],
        oldest=[FileFact(b"/before the epoch", 1, -1e15)],
        newest=[FileFact(b"/now", 1, 1e9)],
        duplicates=groups,
        near_duplicates=[NearGroup(0.75, HOSTILE[:2]), NearGroup(0.93, HOSTILE[2:])],
        damaged=[Damage(path, "PNG image", "ends \x1b[0m too early \udcff") for path in HOSTILE],
        problems=[Fault(path, "walk", "denied", "Permission denied", folder=True) for path in HOSTILE],
        samples=[
            Sample(at, "fingerprint", 10.0 * at, 1e6 * at, at << 20, 128 << 20, 1 + at, 1e5 / at) for at in range(1, 60)
        ],
        recalled=11,
        verdicts={"ok": 9, "damaged": 2},
        texts=5,
        peak_bytes=100 << 20,
        budget_bytes=128 << 20,
        died_workers=4,
        killed_workers=3,
        wanted_kills=3,
    )
