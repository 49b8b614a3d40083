"""`Hook`: one extension point, with its implementations in order and what is measured of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from typing import Any

import pluggy

from framework.errors import PluginError
from framework.hooks.caller import adapter, callers, plain, taken
from framework.hooks.records import HookCall, HookStatistics
from framework.hooks.specification import Specification, is_asynchronous
from framework.telemetry import MetricsManager, get_logger

FIRST = 4
"""So many calls of a hook are timed before sampling begins."""
SPACING_S = 5e-3
"""From then on one call is timed for each so many seconds that the hook takes: all of a slow one."""
SPARSEST = 256
"""However fast the hook is, one call in so many is timed."""

Tracer = Callable[[HookCall], object]
Find = Callable[[Specification], Iterable[pluggy.HookImpl]]


class Implementation:
    """One plugin's implementation of one hook, with its counts."""

    __slots__ = (
        "asynchronous",
        "calls",
        "error",
        "failures",
        "function",
        "invoke",
        "longest",
        "plugin",
        "taken",
        "timed",
        "total",
    )

    def __init__(self, one: pluggy.HookImpl, arguments: tuple[str, ...]) -> None:
        self.plugin = one.plugin_name
        self.asynchronous = is_asynchronous(one.function)
        self.function = plain(one.function)
        self.taken = taken(one, arguments)
        self.invoke = adapter(arguments, self.taken)(self.function)
        self.calls = self.failures = self.timed = 0
        self.total = self.longest = 0.0
        self.error = ""

    def statistics(self, hook: str) -> HookStatistics:
        """Return a snapshot."""
        counts = self.calls, self.failures, self.timed
        return HookStatistics(self.plugin, hook, *counts, self.total, self.longest, self.error)


class Hook:
    """One extension point that a plugin specified.

    `call` has the signature of the specification. It returns the results that are not None in call order, or the first
    such result where the hook is `firstresult`; it must be awaited where the hook is specified by `async def`. An
    implementation that raises is recorded and left out. `strict` does the same, and at the end raises an
    `ExceptionGroup` of everything that was raised. Keep the hook rather than its `call`, which is renewed whenever
    plugins start or stop; one that was kept stays right, but takes longer.
    """

    def __init__(self, specification: Specification, find: Find, tracers: list[Tracer]) -> None:
        self.specification = specification
        self.name = specification.name
        self.calls = self.due = 0
        self.version = 1
        self.call, self.strict = self._outdated = callers(self, 0, ())
        self._made = 0
        self._settled = self._watched = 0
        self._history: list[tuple[Any, ...]] | None = [] if specification.historic else None
        self._find = find
        self._tracers = tracers
        self._ones: dict[pluggy.HookImpl, Implementation] = {}

    def renewed(self) -> Callable[..., Any]:
        """Return the function that calls the implementations of active plugins, made anew if they changed.

        Raises:
            PluginError: Nobody specifies the hook any more.
        """
        version = self.version
        if version == self._made:
            return self.call
        arguments = self.specification.arguments
        found = {one: self._ones.get(one) or Implementation(one, arguments) for one in self._find(self.specification)}
        self._ones = found
        self.call, self.strict = callers(self, version, tuple(found.values()))
        self._made = version
        return self.call

    def change(self, plugins: Container[str]) -> None:
        """Have the next call put the implementations in order anew; let go of all but those of some plugins."""
        self._settle()
        self.version += 1
        self.call, self.strict = self._outdated
        self._ones = {one: kept for one, kept in self._ones.items() if kept.plugin in plugins}

    def observe(self) -> None:
        """Have the next call timed."""
        self.due = 0

    def statistics(self) -> list[HookStatistics]:
        """Return the counts of each implementation, in call order."""
        self._settle()
        return [one.statistics(self.name) for one in self._ordered()]

    def replay(self, plugins: set[str]) -> None:
        """Show what happened before to the implementations of plugins that came later; their results are dropped."""
        for one in self._ordered() if self._history else ():
            for values in (self._history or ()) if one.plugin in plugins else ():
                one.calls += 1
                begin, error = time.perf_counter(), ""
                try:
                    one.invoke(*values)
                except BaseException as caught:  # noqa: BLE001 - what ends more than the hook is raised again
                    error = self.fail(one, caught)
                self._note(one, time.perf_counter() - begin, 1, error)

    def watch(self, values: tuple[Any, ...], *, strict: bool = False) -> Any:
        """Make one call that is timed, and shown to those who trace."""
        results, failures = [], []
        gap, start = self._begin(values, strict)
        for one in self._ordered():
            begin, result, error = time.perf_counter(), None, ""
            try:
                result = one.invoke(*values)
            except BaseException as caught:  # noqa: BLE001 - what ends more than the hook is raised again
                error = self.fail(one, caught)
                if strict:
                    failures.append(_raisable(self.name, one.plugin, caught))
            self._note(one, time.perf_counter() - begin, gap, error)
            if result is not None:
                results.append(result)
                if self.specification.firstresult:
                    break
        return self._end(results, failures, start)

    async def watch_async(self, values: tuple[Any, ...], *, strict: bool = False) -> Any:
        """Make one call that is timed, and shown to those who trace, awaiting what must be awaited."""
        results, failures = [], []
        gap, start = self._begin(values, strict)
        for one in self._ordered():
            begin, result, error = time.perf_counter(), None, ""
            try:
                result = await one.invoke(*values) if one.asynchronous else one.invoke(*values)
            except BaseException as caught:  # noqa: BLE001 - what ends more than the hook is raised again
                error = self.fail(one, caught)
                if strict:
                    failures.append(_raisable(self.name, one.plugin, caught))
            self._note(one, time.perf_counter() - begin, gap, error)
            if result is not None:
                results.append(result)
                if self.specification.firstresult:
                    break
        return self._end(results, failures, start)

    def fail(self, one: Implementation, error: BaseException) -> str:
        """Record a failure, and return it in words.

        Raises:
            BaseException: The error itself, when it ends the program or the task and not only the implementation.
        """
        if _ends_more(error):
            raise error
        one.failures += 1
        one.error = _described(error)
        MetricsManager.get_instance().counter("framework_hook_failures", 1, plugin=one.plugin, hook=self.name)
        if one.failures & (one.failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a hook may be called very often
            details = {"plugin": one.plugin, "hook": self.name, "error": one.error, "failures": one.failures}
            get_logger().error("hook_failed", **details)
        return one.error

    def _ordered(self) -> tuple[Implementation, ...]:
        self.renewed()
        return tuple(self._ones.values())

    def _begin(self, values: tuple[Any, ...], strict: bool) -> tuple[int, float]:
        """Return how many calls this one stands for, and when it began."""
        self.calls += strict  # the other way in has counted it already
        if self._history is not None:
            self._history.append(values)
        gap, self._watched = self.calls - self._watched, self.calls
        return gap, time.perf_counter()

    def _note(self, one: Implementation, duration: float, gap: int, error: str) -> None:
        one.calls += self.specification.firstresult  # the others are counted with the hook
        one.timed += 1
        one.total += duration * gap
        one.longest = max(one.longest, duration)
        for tracer in tuple(self._tracers):
            try:
                tracer(HookCall(self.name, one.plugin, self.specification.arguments, duration, error))
            except Exception as fault:  # noqa: BLE001 - who watches must not change what is watched
                get_logger().error("hook_trace_failed", hook=self.name, error=_described(fault))

    def _end(self, results: list[Any], failures: list[Exception], start: float) -> Any:
        took = time.perf_counter() - start
        always = self._tracers or self._history is not None or self.calls < FIRST
        self.due = 0 if always else self.calls + max(1, min(SPARSEST, int(SPACING_S / max(took, 1e-9))))
        if failures:
            msg = f"calling the hook {self.name!r}"
            raise ExceptionGroup(msg, failures)
        if self.specification.firstresult:
            return results[0] if results else None
        return results

    def _settle(self) -> None:
        calls, self._settled = self.calls - self._settled, self.calls
        if not self.specification.firstresult:  # where not all are called each counts for itself
            for one in self._ones.values():
                one.calls += calls


def _ends_more(error: BaseException) -> bool:
    if isinstance(error, (Exception, SystemExit)):
        return False
    from asyncio import CancelledError  # 45 ms, and only when something went very wrong

    if isinstance(error, BaseExceptionGroup):
        return error.subgroup((KeyboardInterrupt, GeneratorExit, CancelledError)) is not None
    return isinstance(error, (KeyboardInterrupt, GeneratorExit, CancelledError))


def _described(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an error that cannot say what it is still has a type
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _raisable(hook: str, plugin: str, error: BaseException) -> Exception:
    if isinstance(error, Exception):
        error.add_note(f"in the hook {hook!r} of plugin {plugin!r}")
        return error
    wrapped = PluginError(f"Plugin {plugin!r} ended the hook {hook!r} by {_described(error)}.", plugin=plugin)
    wrapped.__cause__ = error
    return wrapped
