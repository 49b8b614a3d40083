"""The commands `framework why` and `framework pool explain`, which are one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from framework import CommandContext
from framework.errors import FrameworkError, ResourceUnavailableError
from plugin_pool.cli.opening import look, state_option, with_host
from plugin_pool.cli.running import asked
from plugin_pool.explanation import Explanation
from plugin_pool.need import needed
from plugin_pool.pool import ResourcePool
from plugin_pool.reading import requirement
from plugin_pool.records import Tier

EXIT = {Tier.FREE: 0, Tier.BUSY: 3, Tier.ERROR: 3, Tier.IMPOSSIBLE: 4}
"""What a command ends with that was asked for something of a tier."""
COLUMNS = ("process", "program", "task", "tasks", "state", "seconds", "why")
WAITING = "waiting"


@click.command("why")
@click.argument("needs", metavar="[NEED...|TASK]", nargs=-1)
@state_option
@click.option(
    "--pid", metavar="PID", type=click.IntRange(1), help="Ask the pool of the running process of this number."
)
@click.pass_context
def why(ctx: click.Context, /, *, needs: tuple[str, ...], state: str | None, pid: int | None) -> None:
    """Say what waits in the pools of running programs, or why a TASK does, or whether the pool can meet NEED...

    Without arguments, all tasks that wait or hold something in programs of this user that run now. The id of a TASK
    explains what that one waits for or holds. A NEED is a type, if need be with how many and with least levels:
    executor, 2*executor, or executor:web_search=5,file_ops. The pool for that is the one of the configuration, in which
    everything is free, or one that a program keeps, or with --pid the one of a running process. Exits with 3 when the
    pool lacks it for now, and with 4 when it does not have it.
    """
    context: CommandContext = ctx.obj
    if state is not None and (pid is not None or not needs):
        raise click.UsageError("--state names a kept pool: give a NEED or a TASK with it, and no --pid.")
    if not needs:
        _show_tasks(context, pid)
        return
    found = _found(context, needs, state, pid)
    if context.format == "table":
        if found["parts"]:
            context.emit(list(_steps(found)), columns=("requirement", "condition", "entities"))
        context.message(found["sentence"])
    else:
        context.emit(found)
    ctx.exit(EXIT[Tier(found["tier"])])


def _found(context: CommandContext, words: tuple[str, ...], state: str | None, pid: int | None) -> dict[str, Any]:
    """Return an explanation, of a running program where it is meant or knows the task, else of the pool looked at."""
    if pid is not None:
        return _of_process(context, words, pid)
    if state is None and len(words) == 1 and (known := _of_running(context, words[0])) is not None:
        return known
    return look(context, state, lambda pool: _explained(pool, words)).as_json()


def _of_process(context: CommandContext, words: tuple[str, ...], pid: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if len(words) == 1:
        (told,) = _ask(context, {"ask": "explain", "of": words[0]}, pid)
    if "explanation" not in told:
        (told,) = _ask(context, {"ask": "explain", "of": [needed(one) for one in words]}, pid)
    if "explanation" not in told:
        raise ResourceUnavailableError(
            f"The process {pid} does not explain that. {told['error']}", told.get("remedy", "")
        )
    return _with_source(told)


def _of_running(context: CommandContext, task: str) -> dict[str, Any] | None:
    with suppress(FrameworkError):  # without a home there are no sockets
        answers = _ask(context, {"ask": "explain", "of": task})
        told = [one for one in answers if "explanation" in one]
        if len(told) == 1:
            return _with_source(told[0])
        if told:
            several = ", ".join(str(one["pid"]) for one in told)
            raise click.UsageError(f"The task {task!r} is in the processes {several}: name one with --pid.")
    return None


def _with_source(told: dict[str, Any]) -> dict[str, Any]:
    found = told["explanation"]
    found["sentence"] += f" (in process {told['pid']}, {told['program']})"
    return {**found, "process": told["pid"], "program": told["program"]}


def _ask(context: CommandContext, question: dict[str, Any], pid: int | None = None) -> list[dict[str, Any]]:
    return with_host(context, lambda host: asked(host.state_directory("pool"), question, pid))


def _explained(pool: ResourcePool, words: tuple[str, ...]) -> Explanation:
    """Explain a task where the one word is the id of one; `1*name` is a type also where a task is called so."""
    if len(words) == 1 and pool.get_allocation(words[0]) is not None:
        return pool.explain(words[0])
    return pool.explain([needed(one) for one in words])


def _steps(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in found["parts"]:
        for step in part["funnel"]:
            yield {"requirement": str(requirement(part["requirement"])), **step}


def _show_tasks(context: CommandContext, pid: int | None) -> None:
    answers = _ask(context, {"ask": "tasks"}, pid)
    rows = [row for one in answers for row in _tasks(one)]
    context.emit(rows, columns=COLUMNS)
    waiting = sum(row["tasks"] for row in rows if row["state"] == WAITING)
    if answers:
        context.message(f"Programs with a pool that run now: {len(answers)}. Tasks that wait: {waiting:,}.")
    else:
        context.message("No program of this user that runs now has a pool that answers.")


def _tasks(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    source = {"process": told["pid"], "program": told["program"]}
    if "error" in told:
        yield source | {"task": "", "tasks": 0, "state": "unknown", "seconds": 0.0, "why": told["error"]}
        return
    for one in told["waiting"]:
        about = {"task": one["task"], "tasks": one["tasks"], "state": WAITING, "seconds": round(one["seconds"], 1)}
        yield source | about | {"why": one["sentence"]}
    for one in told["held"]:
        about = {"task": one["task"], "tasks": 1, "state": one["status"], "seconds": round(one["seconds"], 1)}
        yield source | about | {"why": f"holds {', '.join(one['resources'])}"}
