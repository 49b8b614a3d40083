"""Whatever is written, linked, surveyed, merged and undone in whatever order, no content is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from plugin_survey.cataloguing.catalogue import UNSETTLED_NS
from plugin_survey.survey import Means, Request, take_survey
from plugin_survey.use.choice import Chosen
from plugin_survey.use.copy import LeftError
from plugin_survey.use.equal import EqualFiles
from plugin_survey.use.keep import RULES
from plugin_survey.use.merging import DELETE, DONE, HARDLINK, LEFT, Merger, Step
from plugin_survey.use.reader import reading
from plugin_survey.use.undo_log import UndoLog, read_log
from plugin_survey.use.undoing import Undoing

FILES = ("a", "b", "c/a", "c/b", "c/.survey-link-1")
NAMES = st.sampled_from(FILES)
CONTENTS = st.sampled_from(["same", "SAME", ""])


class Threads:
    """The standard library's threads in the shape that a survey needs."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return await asyncio.wrap_future(self._pool.submit(function, *args))


class Treatment(RuleBasedStateMachine):
    """Files and what is done to them; `contents` is what each name must have."""

    logs = Bundle("logs")

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.tree = self.place / "tree"
        (self.tree / "c").mkdir(parents=True)
        self.contents: dict[str, str] = {}
        self.made = 0

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    @initialize(contents=st.lists(CONTENTS, min_size=len(FILES), max_size=len(FILES)))
    def begin(self, contents: list[str]) -> None:
        for name, content in zip(FILES, contents, strict=True):
            self.write(name, content)
        self.survey()

    @rule(name=NAMES, content=CONTENTS)
    def write(self, name: str, content: str) -> None:
        """Write into a file, which alters its links as well."""
        (self.tree / name).write_text(content)
        self.contents[name] = content
        self.contents |= {
            other: content for other in self.contents if os.path.samefile(self.tree / other, self.tree / name)
        }

    @rule(name=NAMES, content=CONTENTS, seconds=st.integers(0, 3))
    def replace(self, name: str, content: str, seconds: int) -> None:
        """Put another file in the place of one, which leaves its links alone."""
        new = self.place / "new"
        new.write_text(content)
        os.utime(new, (seconds, seconds))
        new.rename(self.tree / name)
        self.contents[name] = content

    @rule(name=NAMES, other=NAMES)
    def link(self, name: str, other: str) -> None:
        """Make a name one more of a file."""
        if other in self.contents and name != other:
            (self.tree / name).unlink(missing_ok=True)
            os.link(self.tree / other, self.tree / name)
            self.contents[name] = self.contents[other]

    @rule()
    def survey(self) -> None:
        """Bring the catalogue up to date, when all that was done can be seen in times."""
        settled = time.time_ns() + 2 * UNSETTLED_NS
        while time.time_ns() < settled:
            os.sched_yield()
        draft = self.place / "draft"
        draft.unlink(missing_ok=True)
        draft.touch()
        with ThreadPoolExecutor(2) as pool:
            asyncio.run(take_survey(Request((os.fsencode(self.tree),)), str(draft), Means(Threads(pool), 2)))
        draft.rename(self.place / "catalogue")

    @rule(
        target=logs,
        action=st.sampled_from([DELETE, HARDLINK]),
        keep=st.sampled_from(list(RULES)),
        least=st.integers(0, 1),
        fresh=st.booleans(),
    )
    def merge(self, action: str, keep: str, least: int, *, fresh: bool) -> tuple[str, dict[str, str]]:
        """Treat all groups, by a catalogue that may be out of date."""
        if fresh:
            self.survey()
        before = dict(self.contents)
        log = UndoLog(str(self.place / f"log {self.made}"))
        self.made += 1
        with reading(str(self.place / "catalogue")) as reader:
            merger = Merger(action, keep, log)
            steps = [step for group in EqualFiles(Chosen(reader, None), least) for step in merger.steps(group)]
        log.close()
        gone = self.names(steps, DONE[DELETE])
        self.contents = {name: content for name, content in before.items() if name not in gone}
        assert set(self.contents.values()) == set(before.values())
        return log.path, {name: before[name] for name in self.names(steps, DONE[action])}

    def names(self, steps: list[Step], action: str) -> set[str]:
        return {os.path.relpath(os.fsdecode(step.path), self.tree) for step in steps if step.action == action}

    @rule(merged=logs)
    def undo(self, merged: tuple[str, dict[str, str]]) -> None:
        """Bring back what a log says, unless something else is there now."""
        path, former = merged
        undoing = Undoing()
        for deed in read_log(path) if os.path.exists(path) else ():
            name = os.path.relpath(os.fsdecode(deed["path"]), self.tree)
            try:
                action = undoing.undo(deed).action
            except LeftError:
                action = LEFT
            if action == "restored":
                assert self.contents.get(name, former[name]) == former[name]  # never over something else
                self.contents[name] = former[name]

    @invariant()
    def every_name_has_its_content_and_no_other_is_there(self) -> None:
        found = {os.path.relpath(path, self.tree): path.read_text() for path in self.tree.rglob("*") if path.is_file()}
        assert found == self.contents


@pytest.mark.parametrize(
    ("examples", "steps"), [(12, 10), pytest.param(100, 20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_no_content_is_lost_and_what_was_done_is_undone(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Treatment, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )
