"""`Monitor`: the thread that looks at the memory and does what the `Controller` decides."""

from __future__ import annotations

import threading
import time
from typing import Any

from framework import Host, get_logger, limits
from framework.errors import ResourceUnavailableError, SettingsError
from framework.limits import Memory
from plugin_pressure.alarm import NONE, Alarm
from plugin_pressure.controller import Controller, goal
from plugin_pressure.decisions import Decisions
from plugin_pressure.levels import CRITICAL, NAMES, NORMAL, Thresholds, thresholds
from plugin_pressure.notices import Notices
from plugin_pressure.options import Options
from plugin_pressure.processors import BusyWarning
from plugin_pressure.records import Decision
from plugin_pressure.rounds import Plan, Rounds, failed
from plugin_pressure.turns import Turns

IDLE = 1.0
"""Seconds between two looks at the settings while monitoring is disabled, and after a look that failed."""
UNKNOWN = 30.0
"""Seconds until it is tried again where the system does not say how much memory is used."""
STALLS_EVERY = 1.0
"""Seconds between two readings of stalls, which the kernel averages every 2 seconds."""
_SOON = 5.0
"""Seconds that are waited for the threads to end."""


class Monitor:
    """Watches from `start` to `stop`. What it says of itself may be read in any thread.

    Args:
        host: Whose settings, participants and admission.
        options: The settings of the plugin.
    """

    def __init__(self, host: Host, options: Options) -> None:
        self.host = host
        self.options = options
        self.reader = limits.Reader()
        self.decisions = Decisions(options.kept_decisions)
        self.rounds = Rounds(host, options, self.decisions, self.reader)
        self.controller = Controller(options)
        self.memory: Memory | None = None
        """The last reading."""
        self.stalled = 0.0
        self.wait = 0.0
        """Seconds between the last look and the next one."""
        self.ticks = 0
        self.cost = 0.0
        """Seconds of processor time that watching has taken."""
        self.paused = False
        self._refused = self._failure = ""
        self._numbers: tuple[float, ...] = ()
        self._limits: Thresholds | None = None
        self._busy = BusyWarning()
        self._notices = Notices(host)
        self._turns = Turns()
        self._stalls_at = float("-inf")
        self._alarm: Alarm | None = None
        self._thread: threading.Thread | None = None
        self._round: threading.Thread | None = None
        self._ended: tuple[Plan, Decision, float, float] | None = None
        self._stopping = False

    @property
    def events(self) -> str:
        """What reports between two looks."""
        return self._alarm.kind if self._alarm else NONE

    @property
    def fault(self) -> str:
        """What keeps it from working as configured, or nothing."""
        return self._failure or self._refused

    @property
    def watching(self) -> bool:
        """Whether the thread runs, and monitoring is enabled."""
        running = self._thread is not None and self._thread.is_alive()
        return running and bool(self._setting("monitoring_enabled"))

    def start(self) -> None:
        """Begin to watch.

        Raises:
            SettingsError: The thresholds are out of order.
        """
        self.thresholds()
        self._stopping = False
        self._alarm = Alarm()
        self._thread = threading.Thread(target=self._run, args=(self._alarm,), name="framework-pressure", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more, let those go on that wait, and end a round before the next participant is asked."""
        self._stopping = True
        threads = [one for one in (self._thread, self._round) if one is not None]
        if self._alarm is not None:
            self._alarm.ring()
        for one in threads:
            one.join(_SOON)
        if self._alarm is not None and not any(one.is_alive() for one in threads):
            self._alarm.close()  # else it is theirs until the process ends
        self._alarm = self._thread = self._round = None
        self._notices.close()
        self._turns.restore()
        self._resume("the plugin stops")
        self.reader.close()

    def thresholds(self) -> Thresholds:
        """Return the thresholds of now; the last good ones where the settings were changed to what is out of order.

        Raises:
            SettingsError: They are out of order from the start.
        """
        warning, aggressive = self._setting("warning_threshold_memory"), self._setting("aggressive_threshold_memory")
        numbers = (warning, aggressive)
        if numbers == self._numbers and self._limits is not None:
            return self._limits
        one = self.options
        margins = one.warning_margin, one.aggressive_margin, one.critical_margin
        try:
            found = thresholds((warning, aggressive, one.critical_threshold), margins)
        except SettingsError as error:
            if self._limits is None:
                raise
            self._refused = str(error)
            get_logger().error("pressure_thresholds_refused", error=self._refused)
            found = self._limits
        else:
            self._refused = ""
        self._numbers, self._limits = numbers, found
        return found

    def plan(self, level: int, memory: Memory, reason: str) -> Plan:
        """Return a round for a level."""
        return Plan(level, reason, memory, goal(memory, level, self.thresholds()))

    def _run(self, alarm: Alarm) -> None:
        while not self._stopping:
            failure, self.wait = "", IDLE
            try:
                self.wait = self._tick(alarm)
            except ResourceUnavailableError as error:
                failure, self.wait = str(error), UNKNOWN
            except Exception as error:  # noqa: BLE001 - logged; the watch must go on, whatever is wrong with one look
                failure = f"A look at the memory failed: {type(error).__name__}: {error}"
            if failure and failure != self._failure:  # once, until it works again
                get_logger().error("pressure_watch_failed", error=failure)
            self._failure = failure
            self.ticks += 1
            self.cost = time.thread_time()
            if alarm.wait(self.wait):
                self._take_turns(urgent=True)  # the look that follows may say that it is not

    def _tick(self, alarm: Alarm) -> float:
        """Look once, do what is due, and return the seconds to the next look."""
        if not self._setting("monitoring_enabled"):
            self._rest()
            return IDLE
        now, found, bounds = time.monotonic(), self.reader.memory(), self.thresholds()
        self.memory = found
        self._take_stalls(now, found)
        self._take_processors(now)
        former = self.controller.observe(now, found, bounds, self.stalled)
        if self.controller.level != former:
            self._change(former, found, f"{found.percent:.1f} % of {found.source} is used")
        self._take_turns(urgent=self.controller.urgent(now, found))
        self._clean(now, found, bounds, alarm)
        armed = alarm.arm(found, bounds.enter)
        return self.controller.wait(now, found, self._setting("monitoring_interval"), armed=armed)

    def _take_turns(self, *, urgent: bool) -> None:
        if urgent and not self.options.dry_run:
            self._turns.shorten()
        else:
            self._turns.restore()

    def _setting(self, name: str) -> Any:
        return self.host.settings.get(f"resource_management.{name}")

    def _take_stalls(self, now: float, memory: Memory) -> None:
        if now - self._stalls_at < STALLS_EVERY:
            return
        self._stalls_at = now
        found = self.reader.pressure("memory")
        # what the whole machine waits for says nothing of a group with a limit of its own
        concerns = found is not None and (not found.host_wide or memory.source == limits.MACHINE)
        self.stalled = found.full_avg10 if found is not None and concerns else 0.0

    def _take_processors(self, now: float) -> None:
        if self._busy.due(now, min(10.0, self._setting("monitoring_interval"))):
            try:
                spent = self.reader.cpu_time()
            except ResourceUnavailableError:
                return  # memory may be known all the same, and is what matters
            if self._busy.observe(now, spent.seconds, spent.share, self._setting("warning_threshold_cpu")):
                get_logger().warning(
                    "processors_busy", percent=round(self._busy.percent), may_use=spent.share, source=spent.source
                )

    def _change(self, former: int, memory: Memory, reason: str) -> None:
        level = self.controller.level
        self._decide("enter" if level > former else "leave", level, memory, f"{reason}; it was {NAMES[former]}")
        if level == CRITICAL:
            self._pause(memory)
        else:
            self._resume(f"memory is no longer {NAMES[CRITICAL]}")
        if not self.options.dry_run:
            self._notices.send(NAMES[level], NAMES[former], reason)

    def _pause(self, memory: Memory) -> None:
        reason = f"memory is {NAMES[CRITICAL]}: {memory.percent:.1f} % of {memory.source} is used"
        self._decide("pause", CRITICAL, memory, f"{reason}; refused after {self.options.pause_deadline:g} s")
        if not self.options.dry_run:
            self.host.admission.pause(reason, self.options.pause_deadline)
            self.paused = True

    def _resume(self, reason: str) -> None:
        if self.paused:
            self.paused = False
            self.host.admission.resume()
            if self.memory is not None:
                self._decide("resume", self.controller.level, self.memory, reason)

    def _decide(self, action: str, level: int, memory: Memory, reason: str) -> None:
        self.decisions.add(
            Decision(
                time.time(),
                action,
                NAMES[level],
                memory.used,
                memory.limit,
                reason=reason,
                dry_run=self.options.dry_run,
            )
        )

    def _clean(self, now: float, memory: Memory, bounds: Thresholds, alarm: Alarm) -> None:
        """Begin a round if one is due and none is going on."""
        if self._round is not None:
            if self._round.is_alive() and self._ended is None:
                return
            self._round = None
            self._take_round()
        reason = self.controller.due(now, memory, bounds)
        if reason:
            plan = self.plan(self.controller.level, memory, reason)
            self._round = threading.Thread(
                target=self._clean_up, args=(plan, alarm), name="framework-pressure-round", daemon=True
            )
            self._round.start()

    def _take_round(self) -> None:
        """Have the schedule know how the last round ended."""
        if self._ended is None:
            return
        plan, decision, at, percent = self._ended
        self._ended = None
        helped = decision.met or max(decision.freed, decision.group_freed) * 100 >= plan.need
        self.controller.schedule.ended(at, plan.level, percent, met=decision.met, helped=helped)

    def _clean_up(self, plan: Plan, alarm: Alarm) -> None:
        """Do a round; it ends early when the level rises meanwhile, so that one that frees more can begin."""
        try:
            decision = self.rounds.run(
                plan,
                dry_run=self.options.dry_run,
                stopped=lambda: self._stopping or self.controller.level > plan.level,
            )
            percent = self.reader.memory().percent
        except Exception as error:  # noqa: BLE001 - logged; the next round is tried after the cooldown
            get_logger().error("pressure_round_failed", error=f"{type(error).__name__}: {error}")
            decision, percent = failed(plan, error), plan.memory.percent
        self._ended = plan, decision, time.monotonic(), percent
        alarm.ring()

    def _rest(self) -> None:
        """Forget the level while nobody watches."""
        former = self.controller.level
        if former != NORMAL and self.memory is not None:
            self.controller = Controller(self.options)
            self._change(former, self.memory, "monitoring was disabled")
