"""The commands that change the entities of a kept pool: add, remove, repair and drain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from framework import CommandContext
from framework.errors import InvalidRequestError, ResourceUnavailableError
from plugin_pool.cli.opening import change, state_option
from plugin_pool.cli.rows import row
from plugin_pool.need import described
from plugin_pool.pool import ResourcePool
from plugin_pool.records import ResourceInstance

COLUMNS = ("id", "type", "status", "tasks", "draining")

_ids = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@click.command("add")
@click.argument("name", metavar="ID")
@click.argument("description", metavar="TYPE")
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label; may be given several times.")
@click.option("--capacity", type=int, default=1, show_default=True, help="Tasks that may use it at once.")
@state_option
@click.pass_obj
def add(
    context: CommandContext,
    /,
    *,
    name: str,
    description: str,
    labels: tuple[str, ...],
    capacity: int,
    state: str | None,
) -> None:
    """Add an entity to a kept pool, which is begun where there is none.

    TYPE is a type, if need be with capabilities and their levels: executor, or executor:web_search=8,file_ops=3.
    """
    entity = {"id": name, **described(description), "labels": dict(map(_label, labels)), "capacity": capacity}
    _show(context, change(context, state, lambda pool: [pool.add_resource(entity)], begin=True))


@click.command("remove")
@_ids
@state_option
@click.pass_obj
def remove(context: CommandContext, /, *, ids: tuple[str, ...], state: str | None) -> None:
    """Remove entities that no task holds from a kept pool; all of them, or none.

    Those that the configuration lists come back when a program opens the pool.
    """

    def use(pool: ResourcePool) -> list[ResourceInstance]:
        for one in _found(pool, ids):
            if one.tasks:
                raise ResourceUnavailableError(
                    f"The resource {one.id!r} cannot be removed: it is held by {', '.join(map(repr, one.tasks))}.",
                    "Drain it, and remove it when the task has released it.",
                )
        return [pool.remove_resource(one) for one in dict.fromkeys(ids)]

    _show(context, change(context, state, use))


@click.command("repair")
@_ids
@state_option
@click.pass_obj
def repair(context: CommandContext, /, *, ids: tuple[str, ...], state: str | None) -> None:
    """Put entities of a kept pool back into service, after an error or after they were drained."""
    _show(context, change(context, state, lambda pool: _each(pool, ids, pool.repair_resource)))


@click.command("drain")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Drain all entities.")
@state_option
@click.pass_obj
def drain(context: CommandContext, /, *, ids: tuple[str, ...], every: bool, state: str | None) -> None:
    """Give entities of a kept pool to nobody any more; a task that holds one keeps it.

    Once nobody holds it, it is `released`: remove it, or repair it to put it back into service.
    """
    if every == bool(ids):
        raise click.UsageError("Name entities, or give --all.")

    def use(pool: ResourcePool) -> list[ResourceInstance]:
        return _each(pool, ids or [one.id for one in pool.get_resources()], pool.drain)

    _show(context, change(context, state, use))


def _found(pool: ResourcePool, ids: Iterable[str]) -> list[ResourceInstance]:
    return [pool.get_resource(one) for one in dict.fromkeys(ids)]


def _each(pool: ResourcePool, ids: Iterable[str], act: Callable[[str], object]) -> list[ResourceInstance]:
    """Do something with each entity, if there are all, and return their records afterwards."""
    for one in _found(pool, ids):
        act(one.id)
    return _found(pool, ids)


def _show(context: CommandContext, found: Iterable[ResourceInstance]) -> None:
    context.emit([row(one) for one in found], columns=COLUMNS)


def _label(text: str) -> tuple[Any, Any]:
    key, given, value = text.partition("=")
    if not given:
        raise InvalidRequestError(f"The label {text!r:.80} has no value.", "Write it as zone=a.")
    return key, value
