from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from plugin_survey.report import Findings
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
