"""A worker process as its owner sees it: three pipes, and a child that is stopped only while it is surely ours.

Workers are spawned, not forked: the owner has threads, and what a fork does to their locks is nobody's promise. Not
from a fork server either, because that one stays behind when the executor is released.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from framework.errors import ResourceError
from plugin_executors import main_program
from plugin_executors.deaths import Death, oom_kills
from plugin_executors.frames import CALL, FAILED, PREPARE, receive, send

_PLACE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PROGRAM = "import sys; sys.path.insert(0, {place!r}); from plugin_executors.worker import main; main({pipes})"

_HANGUP_S = 1.0
"""Seconds that a worker may live after it closed its pipes."""
_BASELINE_S = 1.0
"""How old the count of out-of-memory kills may be that a death is compared with."""


class WorkerGoneError(Exception):
    """The worker cannot be reached: it is dead, or about to be.

    Args:
        innocent: Whether it died while it was idle, so that the task has nothing to do with it.
    """

    def __init__(self, *, innocent: bool) -> None:
        super().__init__()
        self.innocent = innocent


class WorkerProcess:
    """A child that runs one call at a time. Only one thread may call; any may stop it.

    Raises:
        OSError: The system refuses another process or its pipes.
        ResourceError: This process is itself a worker that imports its owner's main program.
    """

    def __init__(self) -> None:
        _refuse_in_main_program()
        self._ready = False
        self._reason = self._trace = ""
        self._reaping = threading.Lock()
        self._kills, self._kills_seen = oom_kills(), time.monotonic()
        with contextlib.ExitStack() as undo:
            theirs, self._requests = _pipe(undo)
            self._replies, replies = _pipe(undo)
            lifeline, self._lifeline = _pipe(undo)
            self._child = _started([theirs, replies, lifeline])
            for pipe in (theirs, replies, lifeline):
                os.close(pipe)
            undo.pop_all()
        self.pid = self._child.pid

    def call(self, task: bytes) -> tuple[int, memoryview]:
        """Have a pickled call run; return the kind and the body of the answer.

        Raises:
            WorkerGoneError: It died meanwhile, or before.
        """
        try:
            if not self._ready:
                self._prepare()
            now = time.monotonic()
            if now - self._kills_seen > _BASELINE_S:
                self._kills, self._kills_seen = oom_kills(), now
            send(self._requests, CALL, task)
            return receive(self._replies)
        except (EOFError, OSError) as error:
            # a pipe that nobody reads any more was left by a worker that had nothing to do
            raise WorkerGoneError(innocent=self._ready and isinstance(error, BrokenPipeError)) from error

    def bury(self) -> Death:
        """Wait for the end of a worker that is gone, and return how it ended."""
        self._hang_up()
        try:
            self._child.wait(_HANGUP_S)
        except subprocess.TimeoutExpired:
            self._reason = "it had closed the pipes to its owner, and was killed for that"
            self.signal(signal.SIGKILL)
        code = self._reaped()
        short_of_memory = code == -signal.SIGKILL and oom_kills() > self._kills
        return Death(self.pid, code, short_of_memory, self._ready, self._reason, self._trace)

    def leave(self) -> None:
        """Have an idle worker end, and wait until it has."""
        self._hang_up()
        self._reaped()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with self._reaping, contextlib.suppress(ProcessLookupError):
            if self._child.returncode is None:
                os.kill(self.pid, number)

    def abandon(self) -> None:
        """Close what a forked child has of a worker that is its parent's."""
        self._hang_up()
        self._let_go()
        self._child.returncode = 0

    def _prepare(self) -> None:
        send(self._requests, PREPARE, pickle.dumps(main_program.describe()))
        kind, body = receive(self._replies)
        if kind == FAILED:
            self._reason, self._trace = pickle.loads(body)  # noqa: S301 - from our own child, through a private pipe
            raise EOFError
        self._ready = True

    def _hang_up(self) -> None:
        """Close the pipes for calls and answers, whereupon an idle worker ends."""
        for pipe in (self._requests, self._replies):
            if pipe >= 0:
                os.close(pipe)
        self._requests = self._replies = -1

    def _let_go(self) -> None:
        """Close the lifeline, whereupon any worker dies."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
        self._lifeline = -1

    def _reaped(self) -> int | None:
        # a child must not be reaped while a signal is under way to its number
        known = True
        if hasattr(os, "waitid") and self._child.returncode is None:
            try:
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                known = False  # the program ignores SIGCHLD, or somebody else waited for it
        with self._reaping:
            code = self._child.wait()
        self._let_go()
        return code if known else None


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _started(pipes: list[int]) -> subprocess.Popen[bytes]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    program = _PROGRAM.format(place=_PLACE, pipes=", ".join(map(str, pipes)))
    with _interrupts_blocked():
        return subprocess.Popen([sys.executable, *flags, "-c", program], stdin=subprocess.DEVNULL, pass_fds=pipes)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a child inherit a blocked SIGINT until it ignores it."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _refuse_in_main_program() -> None:
    if main_program.being_imported:
        raise ResourceError(
            "A worker process imports its owner's main program, which does not guard its start with"
            " `if __name__ == '__main__'` and would start workers of workers without end.",
            "Put what starts the program below that line.",
            resource="executor.process",
        )
