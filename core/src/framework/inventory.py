"""What is installed, what is enabled, and what cannot run and why, as one row for each plugin; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from framework import resolver
from framework.discovery import Discovery
from framework.errors import did_you_mean
from framework.frozen import Frozen, replace
from framework.manifest import Manifest
from framework.records import PluginRecord, PluginState
from framework.resolver import Candidate, Plan
from framework.settings import Settings

_FAMILIES = {"kinds": "kind", "commands": "command", "services": "service", "strategies": "strategy"}
_RIVAL = "Also plugin "
_READY = {PluginState.DISCOVERED, PluginState.LOADED, PluginState.ACTIVE}


class Inventory(Frozen):
    """Every plugin known, by name, and the plan for those that can run."""

    records: dict[str, PluginRecord]
    manifests: Mapping[str, Manifest]
    plan: Plan
    candidates: tuple[Candidate, ...] = ()
    """What the plan was made of: every plugin that is to run, also those that turned out to be blocked."""


def take(
    found: Discovery,
    settings: Settings,
    registered: Iterable[PluginRecord] = (),
    quarantined: Mapping[str, str] | None = None,
) -> Inventory:
    """Return the inventory.

    Args:
        found: What discovery found.
        settings: What the configuration enables.
        registered: Rows of the plugin objects that the application registered itself; they win over installed ones,
            and need not be named by the configuration, which may still disable them.
        quarantined: Why each plugin in quarantine is kept out, by name.
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
    if settings.get("locked"):
        from framework import lock  # hashing costs 5 ms to import

        chosen = [one for one in found.manifests.values() if records[one.name].state is PluginState.DISCOVERED]
        for name, reason in lock.verify(chosen, lock.place(settings.base)).items():
            records[name] = replace(records[name], state=PluginState.FAILED, phase="lock", reason=reason)
    for name, reason in (quarantined or {}).items():
        if name in records and records[name].state in {PluginState.DISCOVERED, PluginState.LOADED}:
            way_out = f"{reason} `framework plugins unquarantine {name}` lets it in again."
            records[name] = replace(records[name], state=PluginState.QUARANTINED, reason=way_out)
    plan, candidates = _plan(records, found.manifests)
    for name, reason in plan.blocked.items():
        records[name] = replace(records[name], state=PluginState.BLOCKED, phase="requirements", reason=reason)
    for name, warnings in _rivals(plan.order, found.manifests).items():
        kept = [one for one in records[name].warnings if not one.startswith(_RIVAL)]
        records[name] = replace(records[name], warnings=(*kept, *warnings))
    return Inventory(records, found.manifests, plan, candidates)


def _rivals(names: Iterable[str], manifests: Mapping[str, Manifest]) -> dict[str, list[str]]:
    """Return a sentence for each thing that a plugin promises and another one that can run promises too, by plugin."""
    claims: dict[tuple[str, str], list[str]] = {}
    warnings: dict[str, list[str]] = {}
    for name in names:
        warnings[name] = []
        for family, items in (manifests[name].provides if name in manifests else {}).items():
            for item in items:
                claims.setdefault((_FAMILIES[family], item), []).append(name)
    for (family, item), names_of in claims.items():
        for name in names_of if len(names_of) > 1 else ():
            others = ", ".join(repr(one) for one in names_of if one != name)
            warnings[name].append(
                f"{_RIVAL}{others} promises the {family} {item!r}: who starts first has it, the other one fails."
                " Disable all but one."
            )
    return warnings


def _plan(records: Mapping[str, PluginRecord], manifests: Mapping[str, Manifest]) -> tuple[Plan, tuple[Candidate, ...]]:
    ready = [one for one in records.values() if one.state in _READY]
    candidates = tuple(_candidate(one, manifests.get(one.name)) for one in ready)
    others = [one for one in records.values() if one.state not in _READY]
    # what only needs to be enabled is more use to a reader than what is broken: the later one stands
    elsewhere: dict[str, str] = {}
    for one in sorted(others, key=lambda one: (one.state is PluginState.DISABLED, one.name)):
        elsewhere |= dict.fromkeys(one.provides, f"plugin {one.name!r}, which provides it, {_off(one)}")
    elsewhere |= {one.name: f"that plugin {_off(one)}" for one in others}
    return resolver.resolve(candidates, elsewhere), candidates


def _candidate(record: PluginRecord, manifest: Manifest | None) -> Candidate:
    one = Candidate(
        record.name, record.version, record.provides, record.requires, settled=record.state is PluginState.ACTIVE
    )
    if manifest is None:
        return one
    return replace(
        one,
        after=manifest.after,
        optional=manifest.optional,
        before=manifest.before,
        conflicts=manifest.conflicts,
    )


def _off(record: PluginRecord) -> str:
    if record.state is PluginState.DISABLED:
        return "is disabled"
    state = "broken" if record.state is PluginState.FAILED else record.state.value
    return f"is {state}: {record.reason.rstrip('.')}" if record.reason else f"is {state}"


def _row(one: Manifest, state: PluginState) -> PluginRecord:
    return PluginRecord(
        one.name, one.version, one.type, state, one.capabilities, one.requires, one.distribution, one.description
    )


def _fault(name: str, distribution: str, reason: str) -> PluginRecord:
    return PluginRecord(name, "", "", PluginState.FAILED, distribution=distribution, phase="discovery", reason=reason)
