"""`framework plugins time`: how long each plugin takes to start, and how its implementations of hooks did."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from framework.cli.context import Context

if TYPE_CHECKING:
    from framework.host import Framework

PHASES = ("import", "settings", "initialize", "register")
COLUMNS = ("name", "state", *(f"{phase}_ms" for phase in PHASES), "total_ms", "hook_calls", "hook_failures", "hook_ms")


@click.command("time")
@click.pass_obj
def command(context: Context) -> None:
    """Start the enabled plugins, and list them by how long they took, in milliseconds, slowest first.

    Plugins start concurrently where they can, so that the sum is more than the start takes. Calls of hooks are those
    that were made while starting.
    """
    from framework.cli.plugins._running import running  # asyncio, 45 ms, which `--help` need not pay

    rows = running(context, _rows)
    context.emit(sorted(rows, key=lambda row: (-row["total_ms"], row["name"])), columns=COLUMNS)


def _rows(host: Framework) -> list[dict[str, Any]]:
    statistics = host.hooks.statistics()
    rows = []
    for name, phases in host.plugins.timings().items():
        hooks = [one for one in statistics if one.plugin == name]
        row: dict[str, Any] = {"name": name, "state": host.plugins.record(name).state.value}
        row |= {f"{phase}_ms": _milliseconds(phases.get(phase, 0.0)) for phase in PHASES}
        row["total_ms"] = _milliseconds(sum(phases.values()))
        row["hook_calls"] = sum(one.calls for one in hooks)
        row["hook_failures"] = sum(one.failures for one in hooks)
        row["hook_ms"] = _milliseconds(sum(one.total_s for one in hooks))
        row["hooks"] = [asdict(one) for one in hooks]
        rows.append(row)
    return rows


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
