"""What is installed, what is enabled, and what cannot run and why, as one row for each plugin; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from framework import resolver
from framework.discovery import Discovery
from framework.errors import did_you_mean
from framework.manifest import Manifest
from framework.records import PluginRecord, PluginState
from framework.resolver import Candidate, Plan
from framework.settings import Settings


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every plugin known, by name, and the plan for those that can run."""

    records: dict[str, PluginRecord]
    manifests: dict[str, Manifest]
    plan: Plan


def take(found: Discovery, settings: Settings, registered: Iterable[PluginRecord] = ()) -> Inventory:
    """Return the inventory.

    Args:
        found: What discovery found.
        settings: What the configuration enables.
        registered: Rows of the plugin objects that the application registered itself; they win over installed ones,
            and need not be named by the configuration, which may still disable them.
    """
    enabled = settings.enabled(found.first_party())
    records = {fault.name: _fault(fault.name, fault.distribution, fault.reason) for fault in found.faults}
    for one in found.manifests.values():
        records[one.name] = _row(one, PluginState.DISCOVERED if one.name in enabled else PluginState.DISABLED)
    said_no = {name for name, values in (settings.plugins or {}).items() if values.get("enabled") is False}
    for record in registered:
        off = record.name in said_no and record.state is PluginState.LOADED
        records[record.name] = replace(record, state=PluginState.DISABLED) if off else record
    for name in sorted(enabled - records.keys()):
        hint = did_you_mean(name, found.manifests)
        records[name] = _fault(name, "", f"Plugin {name!r} is enabled, but not installed. {hint}".rstrip())
    plan = _plan(records, found.manifests)
    for name, reason in plan.blocked.items():
        records[name] = replace(records[name], state=PluginState.BLOCKED, phase="requirements", reason=reason)
    return Inventory(records, found.manifests, plan)


def _plan(records: dict[str, PluginRecord], manifests: dict[str, Manifest]) -> Plan:
    candidates: list[Candidate] = []
    elsewhere: dict[str, str] = {}
    for record in records.values():
        if record.state in {PluginState.DISCOVERED, PluginState.LOADED, PluginState.ACTIVE}:
            after = manifests[record.name].after if record.name in manifests else ()
            candidates.append(Candidate(record.name, record.version, record.provides, record.requires, after))
        else:
            why = "is disabled" if record.state is PluginState.DISABLED else f"is broken: {record.reason.rstrip('.')}"
            elsewhere |= dict.fromkeys(record.provides, f"plugin {record.name!r}, which provides it, {why}")
            elsewhere[record.name] = f"that plugin {why}"
    return resolver.resolve(candidates, elsewhere)


def _row(one: Manifest, state: PluginState) -> PluginRecord:
    return PluginRecord(
        one.name, one.version, one.type, state, one.capabilities, one.requires, one.distribution, one.description
    )


def _fault(name: str, distribution: str, reason: str) -> PluginRecord:
    return PluginRecord(name, "", "", PluginState.FAILED, distribution=distribution, phase="discovery", reason=reason)
