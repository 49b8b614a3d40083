"""The faults that must cost nothing, or little: what is done, how often, what must come of it, and which test does it.

The page `docs/explanation/faults.md` is this table; write it anew with `python tests/system/faults.py`. The tests take
the numbers from here, and the long ones (`nox -s slow`) do everything as often as the last column says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "explanation", "faults.md")


@dataclass(frozen=True)
class Fault:
    """One row; `normally` and `slowly` are how often it is done in the usual run, and in the long one."""

    title: str
    outcome: str
    test: str
    normally: int = 1
    slowly: int = 0


RANDOM_KILLS = Fault(
    "SIGKILL at a random moment, of an owner saturated with files, folders, shared memory, processes and control groups"
    " at once: alone, with its whole group, or of one of the two that give back meanwhile",
    "0 of each left, 0 journals; nothing touched of the same name, user and place but another token or inode",
    "test_kill.py::test_random_kills_leave_nothing",
    300,
    10_000,
)
STEPS_OF_OWNER = Fault(
    "SIGKILL before and after each system call of acquiring and releasing one of each kind",
    "0 left after one pass",
    "test_kill.py::test_a_kill_at_any_step_of_an_owner_leaves_nothing",
    50,
    200,
)
STEPS_OF_RECLAIM = Fault(
    "SIGKILL before and after each system call of giving that back",
    "0 left after one more pass",
    "test_kill.py::test_a_kill_at_any_step_of_who_gives_back_leaves_nothing",
    20,
    200,
)
REUSED_NUMBERS = Fault(
    "the number of a dead owner, or of its child, is given to another process",
    "0 wrong kills; the owner counts as dead",
    "test_kill.py::test_a_number_that_is_used_again_kills_nobody",
    20,
    1_000,
)
CANCELLATIONS = Fault(
    "cancellation at a random moment of acquiring and releasing through a host",
    "0 leases left; as many descriptors as before",
    "test_endurance.py::test_random_cancellations_lose_no_lease",
    2_000,
    100_000,
)
MANY_LEASES = Fault(
    "leases acquired and released in one process",
    "a journal of at most 2 MiB, no growth of what is kept",
    "test_endurance.py::test_many_leases_leave_the_process_as_it_was",
    20_000,
    1_000_000,
)
KERNEL = "../kernel/"
FAULTS = (
    RANDOM_KILLS,
    STEPS_OF_OWNER,
    STEPS_OF_RECLAIM,
    REUSED_NUMBERS,
    Fault(
        "an owner is stopped (SIGSTOP) while all the others are killed",
        "it counts as alive, and loses nothing",
        "test_kill.py::test_random_kills_leave_nothing",
        1,
        1,
    ),
    Fault(
        "the owner lived in another space of process numbers, or of mounts",
        "its processes are left alone, and files that do not prove to be its own; the outcome says so",
        f"{KERNEL}test_recovery.py::test_files_of_another_space_of_mounts_are_removed_only_where_they_prove_it",
    ),
    Fault(
        "the machine was started anew since",
        "files are removed; what was volatile is forgotten, and what is in its place now is left alone",
        f"{KERNEL}test_recovery.py::"
        "test_after_a_start_of_the_machine_what_is_volatile_is_forgotten_and_files_are_removed",
    ),
    Fault(
        "a child that was forked without Python's knowledge holds the lock of its dead owner",
        "everything of the owner is given back, nothing of the child",
        f"{KERNEL}test_journal.py::"
        "test_a_child_forked_behind_pythons_back_neither_writes_into_the_journal_nor_keeps_it_locked",
    ),
    Fault(
        "fork while other threads acquire and release",
        "the child gives back its own and nothing of its parent's",
        f"{KERNEL}test_journal.py::test_a_forked_child_keeps_a_journal_of_its_own_and_leaves_its_parents_alone",
        20,
        20,
    ),
    Fault(
        "the journal is torn at any byte, by a kill or a full disk",
        "it says what was written before",
        f"{KERNEL}test_journal_properties.py::TestJournal",
        60,
        60,
    ),
    Fault(
        "bits of a journal are turned, parts filled with zeros, garbage put between",
        "all whole records are found, none is invented, nothing is raised",
        f"{KERNEL}test_journal_properties.py::test_all_records_but_the_damaged_ones_are_found",
        300,
        300,
    ),
    Fault(
        "the disk is full at any append",
        "an acquire fails before anything is created; releasing works",
        f"{KERNEL}test_journal.py::"
        "test_a_disk_that_gets_full_in_the_middle_refuses_leases_and_still_lets_them_be_released",
    ),
    Fault(
        "there are no inodes, or no descriptors, left",
        "an acquire fails before anything is created",
        f"{KERNEL}test_journal.py::test_without_descriptors_nothing_is_created",
    ),
    Fault(
        "the directory of journals is read-only, another user's, or there is none",
        "said once; refused if journals are required",
        f"{KERNEL}test_journal.py::test_where_no_journal_can_be_kept_it_is_said_and_the_policy_decides",
    ),
    CANCELLATIONS,
    MANY_LEASES,
    Fault(
        "16 threads release one resource at once, and giving it back fails at first",
        "nobody is told that it was given back when it was not",
        f"{KERNEL}test_resources.py::test_of_sixteen_threads_nobody_is_told_that_something_was_given_back_that_was_not",
        20,
        20,
    ),
    Fault(
        "a clean-up raises, or hangs, at SIGTERM or SIGHUP",
        "what it held is given back by the journal; the process ends by the signal",
        f"{KERNEL}test_shutdown.py::test_everything_is_given_back_and_then_the_process_ends_by_the_signal",
    ),
    Fault(
        "the clock is set, by a million seconds either way",
        "no lease ends early or late",
        f"{KERNEL}test_housekeeping.py::test_a_clock_that_is_set_ends_no_lease_and_keeps_none",
    ),
)


WORK = "../../plugins/executors/tests/"
MEMORY = "../../plugins/pressure/tests/"
WORK_FAULTS = (
    Fault(
        "one of 100 tasks ends its worker: SIGKILL, a segmentation fault, `os._exit`",
        "99 results; the task is named with signal or exit code; the pool stays usable",
        f"{WORK}test_deaths.py::test_one_of_a_hundred_tasks_that_kills_its_worker_costs_one_result",
    ),
    Fault(
        "one of 100 tasks takes more than the 64 MiB of its control group",
        "at least 99 results; the task is told to have run out of memory",
        f"{WORK}test_deaths.py::test_a_task_that_takes_too_much_memory_costs_one_result_and_is_told_apart",
    ),
    Fault(
        "the owner of workers is killed, also while a forked child of it lives",
        "0 workers left",
        f"{WORK}test_forks.py::test_no_worker_outlives_a_killed_owner_even_beside_its_forked_child",
    ),
    Fault(
        "fork while threads run tasks",
        "the child has pools of its own, and its parent's are untouched",
        f"{WORK}test_forks.py::test_a_child_forked_while_threads_run_has_pools_of_its_own",
    ),
    Fault(
        "a result or an exception cannot be pickled",
        "an error that names which part, and the other tasks' results",
        f"{WORK}test_unpicklable.py::test_results_and_exceptions_are_named_and_cost_their_own_task",
    ),
    Fault(
        "an argument cannot be pickled",
        "an error that names which part, and the other tasks' results",
        f"{WORK}test_unpicklable.py::test_an_argument_that_cannot_be_pickled_costs_its_own_task_of_a_map",
    ),
    Fault(
        "tasks hang when the program ends",
        "it ends all the same",
        f"{WORK}test_manager.py::test_tasks_that_hang_do_not_keep_the_program_from_exiting",
    ),
    Fault(
        "memory fills at 1 GB/s, and at 40 MB/s, in a control group of 256 MiB whose participants can free enough; in"
        " the long run also at 10 MB/s, and at 1 GB/s for 5 GB",
        "no kill for want of memory",
        f"{MEMORY}test_groups.py::test_a_ramp_is_survived_when_those_asked_can_free_enough",
        2,
        4,
    ),
    Fault(
        "a flood of file pages",
        "no cleanup",
        f"{MEMORY}test_groups.py::test_file_pages_are_no_pressure",
    ),
    Fault(
        "the limit of the group is lowered",
        "the new one is obeyed",
        f"{MEMORY}test_groups.py::test_a_limit_that_is_lowered_is_noticed_and_obeyed",
    ),
    Fault(
        "the use of memory is noisy around a threshold",
        "at most one change of level in 5 s",
        f"{MEMORY}test_levels.py::test_noise_at_a_threshold_changes_the_level_once_in_five_seconds_at_most",
    ),
    Fault(
        "participants hang, raise and allocate while memory fills",
        "the good one is asked; no kill",
        f"{MEMORY}test_groups.py::test_bad_participants_do_not_keep_a_ramp_from_being_survived",
    ),
    Fault(
        "a source of measurements blocks, or raises",
        "memory is watched all the same",
        f"{MEMORY}test_watch.py::test_a_source_of_metrics_that_blocks_or_raises_does_not_disturb",
    ),
)


def page() -> str:
    """Return the page of the tables."""
    return "\n".join((HEAD, *map(_row, FAULTS), WORK_HEAD, *map(_row, WORK_FAULTS), TAIL))


def _row(fault: Fault) -> str:
    often = f"{fault.normally:,} | {fault.slowly or fault.normally:,}"
    return f"| {fault.title} | {fault.outcome} | {often} | `{_place(fault.test)}` |"


def _place(test: str) -> str:
    return os.path.normpath(os.path.join("tests/system", test))


HEAD = """# Faults

What is done to programs that hold something, and what must come of it. The tests fail if anything else does. The kills
are done in private namespaces of processes and mounts, with a `/dev/shm` of their own. Counts are of one run of the
usual tests, and of `nox -s slow`; where both are the same there is only one test.

`tests/system/faults.py` holds the tables, and writes this page.

## Leases

| fault | outcome | times | slow | test |
|---|---|---|---|---|"""

WORK_HEAD = """
## Work and memory

| fault | outcome | times | slow | test |
|---|---|---|---|---|"""

TAIL = """
## What no test can show, because it does not hold

- A child is known by its environment. One that takes another user's rights, that may not be looked at, or that writes
  over its own environment, as programs do to show a title in the list of processes, is not found.
- A file is removed by its name. What is put in its place between the last look and the removal, some microseconds, goes
  with it.
- A number of an inode proves something only where none is used twice. A `tmpfs` counts anew when it is mounted anew, so
  such a proof is not trusted from another space of mounts, nor after a start of the machine.
- Processes that were left in another space of process numbers are ended by one that lives there, or forgotten at the
  next start of the machine; until then the journal stays, and `framework resources reclaim` says why.
- A program that closes descriptors that are not its own lets go of the lock by which it counts as alive.
- After a loss of power files can be left whose journal never reached the disk. Their names say whose they are.
"""


if __name__ == "__main__":
    with open(PAGE, "w", encoding="utf-8") as output:
        output.write(page())
