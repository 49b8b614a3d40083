"""What is undone of what dead processes left, and what is left alone."""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework import journal, recovery
from framework.errors import PolicyError
from framework.identity import Owner
from framework.journal import Target
from framework.journal import format as records
from framework.lease import Lease
from framework.records import Recovery
from framework.recovery import children, journals, verbs

Run = Callable[..., subprocess.CompletedProcess[str]]

UNLINK, RMTREE, RMDIR, PROVIDER = Recovery.UNLINK, Recovery.RMTREE, Recovery.RMDIR, Recovery.PROVIDER
TOKEN = "0123456789abcdef0123456789ab"


def undo(verb: Recovery, path: Path, proof: str = "") -> bool:
    return verbs.undo(Target(verb, str(path), proof), TOKEN, time.monotonic() + 10)


def inode(path: Path) -> str:
    found = path.stat()
    return f"inode:{found.st_dev}:{found.st_ino}"


# what shows that a thing is a lease's


def test_a_file_whose_name_has_the_token_is_removed(tmp_path: Path) -> None:
    file = tmp_path / f"x-{TOKEN}.tmp"
    file.touch()
    assert undo(UNLINK, file)
    assert not file.exists()
    assert not undo(UNLINK, file)


@pytest.mark.parametrize("name", [f"x-{TOKEN[:-1]}.tmp", "plain"])
def test_a_file_whose_name_lacks_the_token_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(verbs.NotOursError, match="another's"):
        undo(UNLINK, tmp_path / name)
    assert (tmp_path / name).exists()


def test_the_token_must_be_in_the_last_part_of_the_path(tmp_path: Path) -> None:
    (tmp_path / TOKEN).mkdir()
    (tmp_path / TOKEN / "plain").touch()
    with pytest.raises(verbs.NotOursError):
        undo(UNLINK, tmp_path / TOKEN / "plain")


def test_the_inode_must_be_the_one(tmp_path: Path) -> None:
    file, other = tmp_path / "chosen", tmp_path / "other"
    file.touch()
    other.touch()
    with pytest.raises(verbs.NotOursError):
        undo(UNLINK, file, inode(other))
    assert undo(UNLINK, file, inode(file))


def test_the_mark_must_be_the_one(tmp_path: Path) -> None:
    file = tmp_path / "chosen"
    file.touch()
    with pytest.raises(verbs.NotOursError):
        undo(UNLINK, file, f"mark:{TOKEN}")
    os.setxattr(file, verbs.MARK, b"f" * 28)
    with pytest.raises(verbs.NotOursError):
        undo(UNLINK, file, f"mark:{TOKEN}")
    os.setxattr(file, verbs.MARK, TOKEN.encode())
    assert undo(UNLINK, file, f"mark:{TOKEN}")


def test_a_proof_that_is_not_understood_proves_nothing(tmp_path: Path) -> None:
    file = tmp_path / TOKEN
    file.touch()
    with pytest.raises(verbs.NotOursError):
        undo(UNLINK, file, "word:of-honour")


@pytest.mark.parametrize("verb", [UNLINK, RMTREE, RMDIR])
def test_a_thing_of_another_sort_is_left_alone(tmp_path: Path, verb: Recovery) -> None:
    place, elsewhere = tmp_path / TOKEN, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    place.symlink_to(elsewhere)
    with pytest.raises(verbs.NotOursError, match="another sort"):
        undo(verb, place)
    place.unlink()
    place.touch() if verb is not UNLINK else place.mkdir()
    with pytest.raises(verbs.NotOursError, match="another sort"):
        undo(verb, place)
    assert (elsewhere / "precious").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_thing_of_another_user_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / TOKEN
    file.touch()
    os.chown(file, 12345, 12345)
    with pytest.raises(verbs.NotOursError, match="user 12345"):
        undo(UNLINK, file)


def test_no_link_is_followed_on_the_way(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / TOKEN).touch()
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(OSError, match="link, or a file, on the way"):
        undo(UNLINK, tmp_path / "link" / TOKEN)
    assert (real / TOKEN).exists()


def test_another_name_of_a_file_stays(tmp_path: Path) -> None:
    file, kept = tmp_path / TOKEN, tmp_path / "kept"
    file.write_text("precious")
    kept.hardlink_to(file)
    assert undo(UNLINK, file)
    assert kept.read_text() == "precious"


def test_sockets_and_pipes_are_removed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / TOKEN)
    assert undo(UNLINK, tmp_path / TOKEN)
    with socket.socket(socket.AF_UNIX) as one:
        place = f"/tmp/{TOKEN}-{os.getpid()}"
        one.bind(place)
        assert undo(UNLINK, Path(place))
    assert not os.path.exists(place)


# trees


def test_a_tree_is_removed_without_following_what_is_in_it(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    tree = tmp_path / f"{TOKEN}-tree"
    for folder in (tree / "a" / "b", tree / "empty"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (tree / "link").symlink_to(precious)
    (tree / "a" / "dangling").symlink_to("nowhere")
    os.mkfifo(tree / "a" / "pipe")
    assert undo(RMTREE, tree)
    assert not tree.exists()
    assert (precious / "file").exists()
    assert not undo(RMTREE, tree)


def test_a_tree_that_was_locked_against_changes_is_removed(as_nobody: Callable[..., None], public: Path) -> None:
    tree = public / TOKEN
    (tree / "deep" / "dark").mkdir(parents=True)
    (tree / "deep" / "file").touch()
    (tree / "deep" / "dark").chmod(0)
    (tree / "deep").chmod(0o500)
    tree.chmod(0o500)
    as_nobody(public, lambda: undo(RMTREE, tree))
    assert not tree.exists()


@pytest.mark.parametrize("what", [["-t", "tmpfs", "none"], ["--bind", "foreign"]])
@pytest.mark.parametrize("where", [".", "mounted", "deep/mounted"])
def test_what_is_mounted_in_a_tree_is_left_alone(
    tmp_path: Path, run_python: Run, can_unshare: Callable[..., None], what: list[str], where: str
) -> None:
    """Another file system, or another part of the same one."""
    can_unshare("--mount")
    tree = tmp_path / TOKEN
    (tree / where).mkdir(parents=True)
    (tmp_path / "foreign").mkdir()
    what = [str(tmp_path / one) if one == "foreign" else one for one in what]
    done = run_python(
        MOUNTED, str(tree), str(tree / where), *what, by=["unshare", "--mount", "--propagation", "private"]
    )
    assert done.stdout == "OSError [Errno 18] another file system is mounted in it\nTrue\n", done.stderr


MOUNTED = """
import os, subprocess, sys, time
from framework.journal import Target
from framework.records import Recovery
from framework.recovery import verbs
_, tree, mounted, *what = sys.argv
subprocess.run(["mount", *what, mounted], check=True)
os.mkdir(f"{mounted}/in")
open(f"{mounted}/in/precious", "w").close()
try:
    verbs.undo(Target(Recovery.RMTREE, tree), os.path.basename(tree), time.monotonic() + 10)
except Exception as error:
    print(type(error).__name__, error)
print(os.path.exists(f"{mounted}/in/precious"))
"""


def test_a_tree_that_takes_too_long_is_left_for_later(tmp_path: Path) -> None:
    tree = tmp_path / TOKEN
    tree.mkdir()
    (tree / "file").touch()
    with pytest.raises(TimeoutError, match="larger than there was time for"):
        verbs.undo(Target(RMTREE, str(tree)), TOKEN, time.monotonic() - 1)
    assert undo(RMTREE, tree)


def test_removing_a_control_group_makes_no_file_where_there_is_none(tmp_path: Path) -> None:
    group = tmp_path / TOKEN
    (group / "inner").mkdir(parents=True)
    assert undo(RMDIR, group)
    assert not group.exists()


# journals


def test_what_the_dead_left_is_removed_and_then_the_journal(leftovers: Any, tmp_path: Path) -> None:
    owner, lease = leftovers.owner(), leftovers.lease()
    token = journal.token(owner, lease.id)
    file, folder = tmp_path / token, tmp_path / f"{token}.d"
    file.touch()
    folder.mkdir()
    leftovers.write(
        owner, records.intent(lease, Target(UNLINK, str(file))), records.intent(lease, Target(RMTREE, str(folder)))
    )
    assert leftovers.reclaim(dry_run=True) == [("planned", f"unlink {file}, rmtree {folder}")]
    assert file.exists()
    assert leftovers.reclaim() == [("reclaimed", "")]
    assert not file.exists()
    assert not folder.exists()
    assert leftovers.journals() == []
    assert leftovers.reclaim() == []


def test_a_dry_run_plans_only_what_would_be_done(leftovers: Any, tmp_path: Path) -> None:
    foreign, volatile = tmp_path / "foreign", Target(UNLINK, str(tmp_path / "volatile"), volatile=True)
    foreign.touch()
    leftovers.leave(Target(UNLINK, str(foreign)))
    leftovers.leave(Target(UNLINK, str(tmp_path / "away")))
    leftovers.leave(Target(Recovery.KILL, "x" * 28, volatile=True), pid_space=1)
    leftovers.leave(volatile, boot="another")
    before = [one.read_bytes() for one in leftovers.journals()]

    planned = leftovers.reclaim(dry_run=True)

    assert [one.read_bytes() for one in leftovers.journals()] == before
    assert [outcome for outcome, _ in planned] == ["gone", "gone", "skipped", "gone"]
    assert leftovers.reclaim() == planned
    assert foreign.exists()


def test_what_fails_is_tried_three_times_and_then_only_on_demand(leftovers: Any) -> None:
    leftovers.leave(Target(PROVIDER, "thing"))

    def fails(_kind: str, path: str) -> None:
        raise ValueError(f"{path} is stuck")

    for _ in range(3):
        assert leftovers.reclaim(provide=fails) == [("failed", "provider thing: thing is stuck")]
    for _ in range(2):
        assert leftovers.reclaim(provide=fails) == [("quarantined", "provider thing: thing is stuck")]
    (record,) = recovery.held(str(leftovers.directory))
    assert (record.state, record.attempts, record.reason) == ("dead", 3, "provider thing: thing is stuck")
    assert leftovers.reclaim(provide=fails, retry=True) == [("failed", "provider thing: thing is stuck")]
    assert leftovers.reclaim(provide=lambda _kind, _path: None, retry=True) == [("reclaimed", "")]
    assert leftovers.journals() == []


def test_what_only_a_plugin_can_undo_waits_for_it(leftovers: Any) -> None:
    leftovers.leave(Target(PROVIDER, "thing"))
    assert leftovers.reclaim() == [("skipped", "only the plugin that provides kind.x can undo it")]
    asked = []
    assert leftovers.reclaim(provide=lambda *said: asked.append(said)) == [("reclaimed", "")]
    assert asked == [("kind.x", "thing")]


def test_one_that_fails_does_not_keep_up_the_others(leftovers: Any, tmp_path: Path) -> None:
    owner, first, second = leftovers.owner(), leftovers.lease(), leftovers.lease()
    file = tmp_path / journal.token(owner, first.id)
    file.touch()
    leftovers.write(
        owner, records.intent(first, Target(UNLINK, str(file))), records.intent(second, Target(UNLINK, f"{file}/x"))
    )
    assert [outcome for outcome, _ in leftovers.reclaim()] == ["failed", "reclaimed"]
    assert [record.lease for record in recovery.held(str(leftovers.directory))] == [second.id]


def test_what_is_at_the_place_now_is_left_alone_and_said(leftovers: Any, tmp_path: Path) -> None:
    other = tmp_path / "chosen"
    other.touch()
    leftovers.leave(Target(UNLINK, str(other), "inode:1:2"))
    assert leftovers.reclaim() == [("gone", f"what is at {str(other)!r} now is another's")]
    assert other.exists()


def test_a_journal_that_is_held_is_left_alone(leftovers: Any, tmp_path: Path) -> None:
    own = journal.Journal(str(leftovers.directory))
    lease = leftovers.lease()
    file = tmp_path / journal.token(own.owner, lease.id)
    file.touch()
    own.intend(lease, Target(UNLINK, str(file)))
    assert leftovers.reclaim() == []
    (record,) = recovery.held(str(leftovers.directory))
    assert record.state == "live"
    own.close(remove=True)
    assert leftovers.reclaim() == [("reclaimed", "")]
    assert not file.exists()


def test_two_hundred_journals_are_settled_in_one_pass(leftovers: Any, run_python: Run) -> None:
    for _ in range(200):
        leftovers.leave(Target(PROVIDER, "x", volatile=True), boot="another")
    done = run_python(FEW_DESCRIPTORS, str(leftovers.directory))
    assert done.stdout == "{'gone': 200}\n", done.stderr
    assert leftovers.journals() == []


FEW_DESCRIPTORS = """
import collections, resource, sys
from framework import recovery
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
print(dict(collections.Counter(done.outcome for done in recovery.reclaim(sys.argv[1]))))
"""


def test_a_pass_ends_when_its_time_is_over(leftovers: Any) -> None:
    for _ in range(150):
        leftovers.leave(Target(PROVIDER, "x"))
    asked = []

    def takes_a_while(_kind: str, path: str) -> None:
        asked.append(path)
        time.sleep(2.2)

    # enough for all that comes before the first is asked, also on a machine with other work
    done = recovery.reclaim(str(leftovers.directory), budget=2.0, provide=takes_a_while)
    late = [one for one in done if one.outcome == "skipped"]
    assert (len(asked), len(done), len(late)) == (1, 150, 149)
    assert {one.reason for one in late} == {"there was no time left for it; the next pass does it"}
    assert len(leftovers.journals()) == 149


# children

FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def frozen(leftovers: Any) -> Iterator[tuple[Owner, Lease]]:
    """A process that carries the token of a lease of a dead owner, and does not end when it is killed."""
    group = FREEZER / f"framework-test-{os.urandom(8).hex()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs a freezer of version 1: {error}")
    owner, lease = leftovers.owner(), leftovers.lease()
    environment = {**os.environ, children.VARIABLE: journal.token(owner, lease.id)}
    child = subprocess.Popen(["sleep", "1000"], env=environment)
    (group / "cgroup.procs").write_text(str(child.pid))
    (group / "freezer.state").write_text("FROZEN")
    yield owner, lease
    (group / "freezer.state").write_text("THAWED")
    assert child.wait() == -signal.SIGKILL
    group.rmdir()


def test_a_process_that_does_not_end_keeps_up_nothing_else(
    leftovers: Any, tmp_path: Path, frozen: tuple[Owner, Lease]
) -> None:
    owner, lease = frozen
    leftovers.write(owner, records.intent(lease, Target(Recovery.KILL, journal.token(owner, lease.id))))
    other, second = leftovers.owner(), leftovers.lease()
    file = tmp_path / journal.token(other, second.id)
    file.touch()
    leftovers.write(other, records.intent(second, Target(UNLINK, str(file))))
    assert sorted(outcome for outcome, _ in leftovers.reclaim(budget=20.0)) == ["failed", "reclaimed"]
    assert not file.exists()
    (record,) = recovery.held(str(leftovers.directory))
    assert "a process that carries it may not have ended" in record.reason


STARTS = """
import asyncio, os, sys
from framework import Recovery, Resource, ResourceProvider, creates
from framework.recovery import children

class Provider(ResourceProvider):
    @creates("child")
    async def create_child(self, name: str) -> Resource:
        token = self.token()
        self.intend(Recovery.KILL, token, volatile=True)
        gate = [(os.POSIX_SPAWN_OPEN, 9, sys.argv[1], os.O_RDONLY, 0)]
        os.posix_spawn("/bin/sleep", ["sleep", "1000"], {children.VARIABLE: token}, file_actions=gate)

async def main():
    provider = Provider()
    await provider.initialize()
    await provider.create("child", name="any")

asyncio.run(main())
"""


def test_a_child_that_was_just_being_started_when_its_owner_died_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, looks, can_look = tmp_path / "gate", [0], children.can_look
    os.mkfifo(gate)

    def counted() -> bool:
        looks[0] += 1
        return can_look()

    owner = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(gate)], env={**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    )
    while not (started := Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()):
        assert owner.poll() is None
        time.sleep(0.01)
    child = os.pidfd_open(int(started[0]))  # it is between fork and exec until somebody opens the gate
    owner.kill()
    owner.wait()
    monkeypatch.setattr(children, "PATIENCE", 100.0)
    monkeypatch.setattr(children, "can_look", counted)
    reclaimer = threading.Thread(target=recovery.reclaim, args=(str(tmp_path / "framework" / "leases"),))
    reclaimer.start()
    while reclaimer.is_alive() and looks[0] < 4:
        time.sleep(0.01)
    opened = os.open(gate, os.O_RDWR)
    reclaimer.join()
    ended = select.select([child], [], [], 10)[0] == [child]
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child, signal.SIGKILL)
    os.close(opened)
    os.close(child)
    assert ended


LOOKS = """
import os, resource, signal, sys, time
from framework import recovery
from framework.recovery import children
token = sys.argv[1]
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
print(children.kill({token}, time.monotonic() + 0.2) == {token})
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(children.kill({token}, time.monotonic() + 10))
"""


def test_a_look_that_could_not_be_taken_finds_nobody_dead(run_python: Run) -> None:
    child = subprocess.Popen(["sleep", "1000"], env={**os.environ, children.VARIABLE: f"another:{TOKEN}:inner"})
    done = run_python(LOOKS, TOKEN)
    assert done.stdout == "True\nset()\n", done.stderr
    assert child.wait() == -signal.SIGKILL


def test_processes_are_told_apart_only_where_numbers_mean_the_same(
    run_python: Run, can_unshare: Callable[..., None]
) -> None:
    can_unshare("--pid", "--fork")
    child = subprocess.Popen(["sleep", "1000"], env={**os.environ, children.VARIABLE: TOKEN})
    code = """
import sys, time
from framework.recovery import children
print(children.can_look(), children.kill({sys.argv[1]}, time.monotonic() + 0.1))
"""
    done = run_python(code, TOKEN, by=["unshare", "--pid", "--fork"])  # with a /proc of other numbers
    assert done.stdout == f"False {{{TOKEN!r}}}\n", done.stderr
    assert child.poll() is None
    child.kill()
    child.wait()


# after a start of the machine, and from elsewhere


def test_after_a_start_of_the_machine_what_is_volatile_is_forgotten_and_files_are_removed(
    leftovers: Any, tmp_path: Path
) -> None:
    owner = leftovers.owner(boot="another")
    places = {}
    intents = []
    for name, verb, volatile in (("shm", UNLINK, True), ("file", UNLINK, False), ("group", RMDIR, False)):
        lease = leftovers.lease(name=name)
        places[name] = tmp_path / f"{journal.token(owner, lease.id)}-{name}"
        places[name].touch() if verb is UNLINK else places[name].mkdir()
        intents.append(records.intent(lease, Target(verb, str(places[name]), volatile=volatile)))
    numbered = leftovers.lease(name="numbered")
    places["numbered"] = tmp_path / "numbered"
    places["numbered"].touch()
    intents.append(records.intent(numbered, Target(UNLINK, str(places["numbered"]), inode(places["numbered"]))))
    child = leftovers.lease(name="child")
    intents.append(records.intent(child, Target(Recovery.KILL, journal.token(owner, child.id))))
    leftovers.write(owner, *intents)

    done = {one.name: one.outcome for one in recovery.reclaim(str(leftovers.directory))}

    assert done == {"shm": "gone", "file": "reclaimed", "group": "gone", "numbered": "gone", "child": "gone"}
    assert {name for name, place in places.items() if place.exists()} == {"shm", "group", "numbered"}
    assert leftovers.journals() == []


def test_children_of_another_space_of_numbers_are_left_alone_and_it_is_said(leftovers: Any) -> None:
    leftovers.leave(Target(Recovery.KILL, os.urandom(14).hex()), pid_space=1)
    assert leftovers.reclaim() == [("skipped", "its process lived in another space of process numbers")]
    assert len(leftovers.journals()) == 1


@pytest.mark.parametrize("changed", [{"mount_space": 1}, {"first": 1}])
def test_files_of_another_space_of_mounts_are_removed_only_where_they_prove_it(
    leftovers: Any, tmp_path: Path, changed: dict[str, int]
) -> None:
    owner = leftovers.owner(**changed)
    seen, unseen, numbered = (leftovers.lease(name=name) for name in ("seen", "unseen", "numbered"))
    file, chosen = tmp_path / journal.token(owner, seen.id), tmp_path / "chosen"
    file.touch()
    chosen.touch()
    leftovers.write(
        owner,
        records.intent(seen, Target(UNLINK, str(file))),
        records.intent(unseen, Target(UNLINK, str(chosen), f"mark:{journal.token(owner, unseen.id)}")),
        records.intent(numbered, Target(UNLINK, str(chosen), inode(chosen))),
    )
    done = {one.name: (one.outcome, one.reason) for one in recovery.reclaim(str(leftovers.directory))}
    maybe = ("skipped", f"{str(chosen)!r} may be there in another space of mounts")
    assert done == {"seen": ("reclaimed", ""), "unseen": maybe, "numbered": maybe}
    assert chosen.exists()


# what cannot be read


def test_an_unreadable_journal_is_said_and_left_and_keeps_up_no_other(leftovers: Any) -> None:
    bad = leftovers.directory / f"0-bad{journal.SUFFIX}"
    bad.write_bytes(b"something else")
    bad.chmod(0o600)
    huge = leftovers.directory / f"0-huge{journal.SUFFIX}"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    huge.chmod(0o600)
    leftovers.leave(Target(PROVIDER, "thing"))
    outcomes = leftovers.reclaim(provide=lambda _kind, _path: None)
    assert [outcome for outcome, _ in outcomes] == ["skipped", "skipped", "reclaimed"]
    assert str(bad) in outcomes[0][1]
    assert "remove it by hand" in outcomes[0][1]
    assert {record.state for record in recovery.held(str(leftovers.directory))} == {"damaged"}
    assert leftovers.journals() == [bad, huge]


def test_an_empty_journal_is_removed(leftovers: Any) -> None:
    empty = leftovers.directory / f"0-empty{journal.SUFFIX}"
    empty.touch(mode=0o600)
    assert leftovers.reclaim() == []
    assert leftovers.journals() == []


def test_links_pipes_and_what_others_may_write_are_no_journals(leftovers: Any, tmp_path: Path) -> None:
    real = leftovers.leave(Target(PROVIDER, "x"))
    moved = tmp_path / "moved"
    real.rename(moved)
    (leftovers.directory / f"1-link{journal.SUFFIX}").symlink_to(moved)
    os.mkfifo(leftovers.directory / f"2-pipe{journal.SUFFIX}", 0o600)
    (leftovers.directory / f"3-folder{journal.SUFFIX}").mkdir()
    shutil.copyfile(moved, leftovers.directory / f"4-writable{journal.SUFFIX}")
    (leftovers.directory / f"4-writable{journal.SUFFIX}").chmod(0o666)
    before = leftovers.journals()
    assert leftovers.reclaim(provide=lambda _kind, _path: None) == []
    assert [(one.state, one.kind) for one in recovery.held(str(leftovers.directory))] == [("damaged", "")] * 4
    assert leftovers.journals() == before


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_directory_that_others_may_write_to_is_not_read(leftovers: Any, mode: int) -> None:
    leftovers.leave(Target(PROVIDER, "x"))
    hidden = leftovers.directory / f".1{journal.SUFFIX}.abc"
    hidden.touch(mode=0o600)
    os.utime(hidden, (0, 0))
    leftovers.directory.chmod(mode)
    assert leftovers.reclaim(provide=lambda _kind, _path: None) == []
    with pytest.raises(PolicyError, match="nobody else who may write"):
        recovery.held(str(leftovers.directory))
    assert hidden.exists()


def test_what_never_became_a_journal_is_removed_unless_somebody_is_at_it(leftovers: Any) -> None:
    left, held = (leftovers.directory / f".{name}{journal.SUFFIX}.abc" for name in ("left", "held"))
    for file in (left, held):
        file.touch(mode=0o600)
    with held.open() as file_held:
        fcntl.flock(file_held, fcntl.LOCK_EX)
        assert leftovers.reclaim(dry_run=True) == []
        assert left.exists()
        assert leftovers.reclaim() == []
    assert leftovers.journals() == [held]


def test_a_journal_is_made_while_others_look_for_what_was_left(leftovers: Any) -> None:
    place = str(leftovers.directory)
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            journals.tidy(place)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            journal.Journal(place).close(remove=True)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert leftovers.journals() == []


def test_nothing_is_lost_where_nothing_can_be_noted(
    leftovers: Any, run_python: Run, can_unshare: Callable[..., None]
) -> None:
    can_unshare("--mount")
    done = run_python(FULL, str(leftovers.directory), by=["unshare", "--mount", "--propagation", "private"])
    assert done.stdout == "[('reclaimed', '')] 0\n", done.stderr


FULL = """
import os, subprocess, sys, time
from framework import journal, recovery
from framework.identity import Owner
from framework.journal import Target
from framework.journal import format as records
from framework.lease import Lease
from framework.records import Recovery
place = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", place], check=True)
owner, lease = Owner.this(time.time()), Lease("kind.x", "", "me", 0)
content = records.header(owner) + records.intent(lease, Target(Recovery.PROVIDER, "x" * 3000))
content += records.intent(lease, Target(Recovery.PROVIDER, "y" * (4096 - len(content) - 60)))
with open(f"{place}/1-1.journal", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
    file.write(content + b"\\1" * (4096 - len(content)))
try:
    with open(f"{place}/filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    pass
done = recovery.reclaim(place, provide=lambda kind, path: None)
print([(one.outcome, one.reason) for one in done], sum(name.endswith(".journal") for name in os.listdir(place)))
"""


# who holds what


def test_a_journal_written_anew_while_it_is_listed_is_of_the_living(leftovers: Any) -> None:
    own = journal.Journal(str(leftovers.directory))
    own.intend(leftovers.lease(), Target(PROVIDER, "x"))
    descriptor = os.open(own.path, os.O_RDONLY)
    own._compact()
    assert not journals._in_place(descriptor, own.path)
    os.close(descriptor)
    (record,) = recovery.held(str(leftovers.directory))
    assert record.state == "live"
    own.close(remove=True)


def test_listing_changes_nothing(leftovers: Any) -> None:
    path = leftovers.leave(Target(PROVIDER, "x"))
    before = path.read_bytes(), path.stat()
    (record,) = recovery.held(str(leftovers.directory))
    assert (record.kind, record.state, record.verbs, record.paths) == ("kind.x", "dead", ("provider",), ("x",))
    assert (path.read_bytes(), path.stat()) == before
