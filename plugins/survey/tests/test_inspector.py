"""The inspection with real worker processes, the capability pool and the learnt sizes of batches."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from framework import Framework
from plugin_survey.budget import Budget
from plugin_survey.cataloguing.catalogue import Catalogue, Outcome, Run
from plugin_survey.inspecting.contents import Contents
from plugin_survey.inspecting.inspection import inspect_batch
from plugin_survey.inspecting.inspector import Inspector
from plugin_survey.lender import Lender
from plugin_survey.reading.fingerprint import fingerprint_batch
from plugin_survey.status import Status

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(f"plugin_{name}") is None for name in ("executors", "pool", "memory")),
    reason="the inspection needs the plugins executors, pool and memory, which are not installed",
)

RUN = Run(1000.0, [], {}, "sha256")
HELPER = """
import os, signal
from plugin_survey.inspecting.inspection import inspect_batch

def deadly(items, *others):
    for item in items:
        if os.path.basename(item.path).startswith(b"killer"):
            os.kill(os.getpid(), signal.SIGKILL)
    return inspect_batch(items, *others)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(120):
        (root / f"file{number:03}.txt").write_text(f"text number{number}")
    (root / "same.txt").write_text("text number7")
    (root / "broken.json").write_text("{")
    (root / "binary").write_bytes(bytes(100))
    return root


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "survey_test_helper.py").write_text(HELPER)
    monkeypatch.syspath_prepend(str(folder))
    return importlib.import_module("survey_test_helper").deadly  # type: ignore[no-any-return]


def inspect(
    tree: Path, catalogue: str, look: Callable[..., Any] = inspect_batch, watch: Callable[[Any], None] | None = None
) -> int:
    """Fingerprint and look into a tree as a survey does; return how many contents there were to look into."""

    async def run() -> int:
        config: dict[str, Any] = {"plugins": {name: {} for name in ("executors", "pool", "memory")}}
        async with Framework.from_config(config) as framework, AsyncExitStack() as stack:
            lender = Lender(framework, stack, "test")
            threads = await lender.acquire("executor.thread", workers=4)
            means = await lender.means(threads, 2, Budget(), deep=True)
            assert means.crew is not None
            written = stack.enter_context(closing(Catalogue(catalogue, RUN)))
            paths = [os.fsencode(path) for path in sorted(tree.iterdir())]
            written.add(fingerprint_batch(paths, frozenset(), 60).rows, [])
            contents = Contents(written, check=True, index=True)
            work = contents.prepare()
            crew = await means.crew()
            inspector = Inspector(
                written,
                contents,
                crew,
                threads,
                memory=means.memory,
                budget=Budget(),
                status=Status(),
                inspect=look,
            )
            if watch is not None:
                watch(await framework.service("pool"))
            await inspector.run(work.contents)
            written.conclude()
            written.finish(Outcome())
            return work.contents

    return asyncio.run(run())


def rows(path: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query, values).fetchall()


def found(path: str, words: str) -> list[str]:
    query = "SELECT file.path FROM text_index JOIN content ON content.id = text_index.rowid JOIN file"
    query += " ON file.digest = content.digest AND file.kind = content.kind WHERE text_index MATCH ? ORDER BY 1"
    return [os.path.basename(os.fsdecode(one)) for (one,) in rows(path, query, words)]


def test_each_content_is_looked_into_once_and_can_be_found(tree: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "c")
    assert inspect(tree, path) == 121
    assert found(path, "number7") == ["file007.txt", "same.txt"]
    assert rows(path, "SELECT verdict FROM content WHERE kind = 'json'") == [("damaged",)]
    assert rows(path, "SELECT COUNT(*) FROM content") == [(121,)]
    assert rows(path, "SELECT COUNT(*) > 1, MIN(size) FROM batch WHERE workload = 'text'") == [(1, 16)]
    assert rows(path, "INSERT INTO text_index (text_index) VALUES ('integrity-check')") == []


def test_a_file_that_kills_its_worker_costs_that_file_only_and_is_left_alone_from_then_on(
    tree: Path, tmp_path: Path, deadly: Callable[..., Any]
) -> None:
    (tree / "killer.txt").write_text("poison")
    path = str(tmp_path / "c")
    assert inspect(tree, path, deadly) == 122
    failed = rows(path, "SELECT verdict, problem, indexed FROM content WHERE verdict = 'failed'")
    assert len(failed) == 1
    assert "ended its worker" in failed[0][1]
    assert "SIGKILL" in failed[0][1]
    assert rows(path, "SELECT COUNT(*) FROM content WHERE indexed") == [(122,)]
    assert found(path, "number39") == ["file039.txt"]
    assert rows(path, "SELECT DISTINCT path FROM event WHERE path NOT NULL") == [(os.fsencode(tree / "killer.txt"),)]
    os.rename(path, path + ".part")
    assert inspect(tree, path + ".part", deadly) == 0


def test_the_workers_are_entities_of_the_pool_while_it_lasts(tree: Path, tmp_path: Path) -> None:
    pools: list[Any] = []
    inspect(tree, str(tmp_path / "c"), watch=lambda pool: pools.append((pool, pool.get_capability_catalog())))
    pool, catalog = pools[0]
    mine = {(one.capability, one.total) for one in catalog if one.type == "survey_worker"}
    assert mine == {("check", 2), ("fingerprint", 2), ("text", 2)}
    assert not [one for one in pool.get_capability_catalog() if one.type == "survey_worker" and one.total]


def test_a_task_that_waits_for_a_worker_is_told_who_has_it() -> None:
    async def run() -> list[str]:
        config: dict[str, Any] = {"plugins": {name: {} for name in ("executors", "pool", "memory")}}
        async with Framework.from_config(config) as framework, AsyncExitStack() as stack:
            lender = Lender(framework, stack, "test")
            threads = await lender.acquire("executor.thread", workers=1)
            means = await lender.means(threads, 1, Budget(), deep=True)
            assert means.crew is not None
            crew = await means.crew()
            asked, found = asyncio.Event(), asyncio.Event()

            async def hold(_: object) -> None:
                asked.set()
                await found.wait()

            async with asyncio.TaskGroup() as group:
                group.create_task(crew.work("check", "9 zip", hold))
                await asked.wait()
                waiting = group.create_task(crew.work("text", "5 json", hold))
                while not (sentences := crew.waiting()):
                    await asyncio.sleep(0)
                found.set()
                await waiting
            assert crew.waiting() == []
            return sentences

    (sentence,) = asyncio.run(run())
    assert "text 5 json" in sentence
    assert "survey_worker" in sentence
    assert "check 9 zip" in sentence
