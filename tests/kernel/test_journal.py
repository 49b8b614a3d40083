"""The journal of a process: what it refuses, what it survives, and what it costs in bytes."""

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework import Ledger, journal, recovery
from framework.errors import InvalidRequestError
from framework.journal import Journal, Target
from framework.journal import format as records
from framework.journal.writer import COMPACT_FROM
from framework.lease import Lease
from framework.records import Recovery

Run = Callable[..., subprocess.CompletedProcess[str]]

PROVIDER = """
import asyncio, os, sys, threading
from framework import Recovery, Resource, ResourceProvider, creates, journal, recovery
from framework.journal import Journal
from framework.ledger import Ledger

class File(Resource):
    def __init__(self, path):
        self.path = path

    def _close(self):
        os.unlink(self.path)

class Files(ResourceProvider):
    @creates("file.plain")
    async def create_one(self, name: str) -> File:
        path = os.path.join(os.environ["PLACE"], self.token())
        self.intend(Recovery.UNLINK, path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return File(path)

def says():
    return [(one.state, one.lease) for one in recovery.held(journal.directory_path())]

def try_to_acquire(files):
    try:
        return asyncio.run(files.create_one(name="x"))
    except Exception as error:
        print(type(error).__name__, error)
        return None

async def ready(policy="auto"):
    files = Files(Ledger(journal=policy))
    await files.initialize()
    return files
"""


@pytest.fixture
def uses(run_python: Run, tmp_path: Path) -> Run:
    """A function that runs code after a provider of files in a process of its own."""
    place = tmp_path / "files"
    place.mkdir()

    def run(code: str, *arguments: str, by: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        done = run_python(PROVIDER + code, *arguments, by=by, PLACE=str(place))
        assert done.returncode == 0, done.stderr
        assert sorted(place.iterdir()) == []
        return done

    return run


ON_A_SMALL_DISK = ("unshare", "--mount", "--propagation", "private")
SMALL_DISK = """
import errno, subprocess
state = os.environ["XDG_STATE_HOME"]
os.makedirs(state)
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[1], "none", state], check=True)
def fill(leave=0):
    with open(f"{state}/filler", "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 4096 - leave) * 4096)
"""


def test_on_a_disk_that_is_full_nothing_is_created(uses: Run, can_unshare: Callable[..., None]) -> None:
    can_unshare("--mount")
    done = uses(SMALL_DISK + FULL_FROM_THE_START, "size=64k", by=ON_A_SMALL_DISK)
    assert "ResourceUnavailableError No journal of leases can be kept" in done.stdout
    assert "No space left on device" in done.stdout
    assert done.stdout.endswith("0 0\n1\n[]\n"), done.stdout


FULL_FROM_THE_START = """
os.makedirs(journal.directory_path(), 0o700)
fill()
files = asyncio.run(ready())
try_to_acquire(files)
print(files.ledger.statistics().held, len(os.listdir(os.environ["PLACE"])))
os.unlink(f"{state}/filler")
file = try_to_acquire(files)
print(len(says()))
asyncio.run(file.release())
print(says())
"""


def test_a_disk_that_gets_full_in_the_middle_refuses_leases_and_still_lets_them_be_released(
    uses: Run, can_unshare: Callable[..., None]
) -> None:
    can_unshare("--mount")
    done = uses(SMALL_DISK + FULL_LATER, "size=64k", by=ON_A_SMALL_DISK)
    refused, held, left, after = done.stdout.strip().splitlines()
    assert "is not created, because the journal" in refused
    assert "no space left on device" in refused
    assert int(held) > 10
    assert left == "0"
    assert after == "[]"


FULL_LATER = """
files = asyncio.run(ready())
kept = [try_to_acquire(files)]
fill()
while kept[-1] is not None:
    kept.append(try_to_acquire(files))
assert len(os.listdir(os.environ["PLACE"])) == len(kept) - 1 == len(files.lent())
print(len(kept) - 1)
async def end():
    for file in kept[:-1]:
        await file.release()
asyncio.run(end())
print(files.ledger.statistics().held)
assert Journal.existing().content() == Journal.existing()._header
Journal.forget(remove=True)
print(says())
"""


def test_without_inodes_nothing_is_created(uses: Run, can_unshare: Callable[..., None]) -> None:
    can_unshare("--mount")
    done = uses(SMALL_DISK + "try_to_acquire(asyncio.run(ready()))", "nr_inodes=3", by=ON_A_SMALL_DISK)
    assert done.stdout.startswith("ResourceUnavailableError No journal of leases can be kept"), done.stdout


def test_without_descriptors_nothing_is_created(uses: Run) -> None:
    done = uses(WITHOUT_DESCRIPTORS)
    assert "ResourceUnavailableError" in done.stdout
    assert "Too many open files" in done.stdout
    assert done.stdout.endswith("1\n")


WITHOUT_DESCRIPTORS = """
import resource
async def main():
    files = await ready()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        await files.create_one(name="x")
    except Exception as error:
        print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert os.listdir(os.environ["PLACE"]) == []
    async with await files.create_one(name="x"):
        print(len(says()))
asyncio.run(main())
"""


@pytest.mark.parametrize("policy", ["auto", "required"])
@pytest.mark.parametrize("trouble", ["read-only", "no home", "another's"])
def test_where_no_journal_can_be_kept_it_is_said_and_the_policy_decides(
    uses: Run, can_unshare: Callable[..., None], policy: str, trouble: str
) -> None:
    can_unshare("--mount")
    done = uses(TROUBLE, trouble, policy, by=ON_A_SMALL_DISK)
    if policy == "required":
        assert done.stdout.startswith("ResourceUnavailableError No journal of leases can be kept"), done.stdout
    else:
        assert done.stdout == "created\n"
        assert done.stderr.count("journal_unavailable") == 1


TROUBLE = """
import subprocess
trouble, policy = sys.argv[1:]
state = os.environ["XDG_STATE_HOME"]
os.makedirs(state)
if trouble == "read-only":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", state], check=True)
elif trouble == "no home":
    os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = "/proc/nowhere"
else:
    os.makedirs(journal.directory_path())
    os.chown(journal.directory_path(), 12345, 12345)
from framework.telemetry import configure_logging
configure_logging()
files = asyncio.run(ready(policy))
file = try_to_acquire(files)
again = try_to_acquire(files)
if file:
    print("created")
    asyncio.run(file.release())
    asyncio.run(again.release())
"""


def test_nothing_is_written_for_what_needs_nothing(uses: Run) -> None:
    done = uses("""
class Nothing(Resource):
    def _close(self):
        pass

class Plain(ResourceProvider):
    @creates("plain.x")
    async def create_one(self, name: str) -> Nothing:
        return Nothing()

async def main():
    plain = Plain()
    await plain.initialize()
    async with await plain.create_one(name="x"):
        print(Journal.existing())
asyncio.run(main())
""")
    assert done.stdout == "None\n"


def test_a_forked_child_keeps_a_journal_of_its_own_and_leaves_its_parents_alone(uses: Run) -> None:
    done = uses("""
files = asyncio.run(ready())
kept = asyncio.run(files.create_one(name="kept"))
stop = threading.Event()

async def use():
    await (await files.create_one(name="other")).release()

def busy():
    while not stop.is_set():
        asyncio.run(use())

async def in_the_child():
    await kept.release()
    assert os.path.exists(kept.path)
    async with await files.create_one(name="own") as own:
        live = {one.pid for one in recovery.held(journal.directory_path()) if one.state == "live"}
        assert live >= {os.getpid(), os.getppid()}, live
    recovery.settle_own()

threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(in_the_child())
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
stop.set()
for thread in threads:
    thread.join()
assert os.path.exists(kept.path)
print(recovery.reclaim())
asyncio.run(kept.release())
""")
    assert done.stdout == "[]\n", done.stderr


def test_a_child_forked_behind_pythons_back_neither_writes_into_the_journal_nor_keeps_it_locked(uses: Run) -> None:
    done = uses("""
import ctypes, signal
files = asyncio.run(ready())
kept = asyncio.run(files.create_one(name="kept"))
size = os.path.getsize(Journal.existing().path)
own, ends = os.pipe()
owner = os.fork()
if owner == 0:
    held = asyncio.run(files.create_one(name="of the owner that is killed"))
    child = ctypes.PyDLL(None).fork()  # as an extension module would
    if child == 0:
        asyncio.run(asyncio.run(files.create_one(name="own")).release())
        os.write(1, b"%d journals\\n" % len(os.listdir(journal.directory_path())))
        recovery.settle_own()
        os.kill(os.getppid(), signal.SIGKILL)
        os.read(own, 1)  # the lock of the owner is still held by this one
        os._exit(0)
    signal.pause()
os.waitpid(owner, 0)
print([one.outcome for one in recovery.reclaim()])
print(os.path.getsize(Journal.existing().path) == size, len(os.listdir(journal.directory_path())))
os.write(ends, b"x")
asyncio.run(kept.release())
""")
    assert done.stdout == "3 journals\n['reclaimed']\nTrue 1\n", done.stdout


def test_what_the_collector_finds_in_the_middle_of_anything_is_given_back(uses: Run) -> None:
    done = uses("""
import gc
class Cycle:
    def __init__(self, file):
        self.itself, self.file = self, file

async def main():
    files = await ready()
    gc.set_threshold(1)  # so that it comes at every allocation, also while the journal is locked
    for _ in range(300):
        Cycle(await files.create_one(name="x"))
    gc.collect()
    while files.ledger.leases():
        await asyncio.sleep(0)
    print(files.ledger.statistics().abandoned)
asyncio.run(main())
""")
    assert done.stdout == "300\n"


def test_what_is_still_held_when_the_program_ends_is_given_back(uses: Run) -> None:
    done = uses("""
async def main():
    global kept
    files = await ready()
    kept = await files.create_one(name="x")
    print(len(says()))
asyncio.run(main())
""")
    assert done.stdout == "1\n"


# the writer


def test_names_with_any_characters_are_written_and_read(leftovers: Any) -> None:
    lease = Lease("kind.x", "\udcff\ud800 \U0001f600", "\udc80", 2**64 - 1)
    target = Target(Recovery.UNLINK, "/\udcff/\ud800")
    (entry,) = journal.parse(records.header(leftovers.owner()) + records.intent(lease, target)).entries.values()
    assert (entry.name, entry.owner, entry.size, entry.targets) == (lease.name, lease.owner, lease.size, [target])


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (Target(Recovery.UNLINK, "relative"), "the path 'relative'"),
        (Target(Recovery.UNLINK, ""), "the path ''"),
        (Target(Recovery.RMTREE, "/a/../b"), "the path '/a/../b'"),
        (Target(Recovery.RMTREE, "/a//b"), "the path '/a//b'"),
        (Target(Recovery.RMDIR, "/a/"), "the path '/a/'"),
        (Target(Recovery.RMDIR, "/a/./b"), "the path '/a/./b'"),
        (Target(Recovery.UNLINK, "/a", "honour"), "the proof 'honour'"),
        (Target(Recovery.UNLINK, "/a\0b"), "no NUL in names"),
        (Target(Recovery.UNLINK, "/" + "a" * 70_000), "allowed: 65535"),
    ],
)
def test_what_could_not_be_found_again_is_refused(target: Target, found: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        records.intent(Lease("kind.x", "name", "me", 0), target)
    assert found in str(caught.value)


def test_a_size_that_no_machine_has_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="got size -1; allowed: 0 to"):
        records.intent(Lease("kind.x", "name", "me", -1), Target(Recovery.PROVIDER, "x"))


def test_threads_lose_no_record_and_tear_none(leftovers: Any) -> None:
    own = Journal(str(leftovers.directory))
    kept: list[int] = []

    def work() -> None:
        for number in range(400):
            lease = Lease("kind.x", "", "me", 0)
            own.intend(lease, Target(Recovery.PROVIDER, "x" * 1000))
            own.hold(lease.id)
            if number % 50:
                own.release(lease.id)
            else:
                kept.append(lease.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = journal.parse(Path(own.path).read_bytes())
    assert sorted(content.entries) == sorted(kept)
    assert not content.damaged
    assert os.path.getsize(own.path) < 2 * COMPACT_FROM
    assert len(leftovers.journals()) == 1
    own.close(remove=True)


def test_it_stays_small_while_much_is_held_and_shrinks_when_that_is_released(leftovers: Any) -> None:
    own = Journal(str(leftovers.directory))
    leases = [Lease("kind.x", "", "me", 0) for _ in range(2000)]
    for lease in leases:
        own.intend(lease, Target(Recovery.PROVIDER, "x" * 1000))
    assert os.path.getsize(own.path) > 2 * COMPACT_FROM
    for lease in leases:
        own.release(lease.id)
    for lease in leases:
        own.intend(lease, Target(Recovery.PROVIDER, "x"))
        own.release(lease.id)
    assert os.path.getsize(own.path) <= 2 * COMPACT_FROM
    own.close(remove=True)
    assert leftovers.journals() == []


def test_no_record_is_lost_when_it_is_written_anew(leftovers: Any) -> None:
    own = Journal(str(leftovers.directory))
    shrunk, size = 0, 0
    for _ in range(300):
        lease = Lease("kind.x", "", "me", 0)
        own.intend(lease, Target(Recovery.PROVIDER, "x" * 10_000))
        own.hold(lease.id)
        raw = Path(own.path).read_bytes()
        assert journal.parse(raw).entries[lease.id].held
        own.release(lease.id)
        shrunk, size = shrunk + (len(raw) < size), len(raw)
    assert shrunk == 2
    own.close(remove=True)


def test_where_there_is_no_room_to_write_it_anew_it_goes_on_with_the_old_one(leftovers: Any, run_python: Run) -> None:
    done = run_python(NO_SECOND_FILE, str(leftovers.directory))
    assert done.stdout == "1 2\n", done.stderr


NO_SECOND_FILE = """
import os, resource, sys
from framework.journal import Journal, Target, parse
from framework.journal.writer import COMPACT_FROM
from framework.lease import Lease
from framework.records import Recovery
own = Journal(sys.argv[1])
attempts = []
sys.addaudithook(lambda event, arguments: attempts.append(arguments[0]) if event == "open" else None)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
size, kept = 0, Lease("kind.x", "", "me", 0)
own.intend(kept, Target(Recovery.PROVIDER, "x"))
while size <= 2.5 * COMPACT_FROM:
    lease = Lease("kind.x", "", "me", 0)
    own.intend(lease, Target(Recovery.PROVIDER, "x" * 1000))
    own.release(lease.id)
    size = os.stat(own.path).st_size
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(len(parse(open(own.path, "rb").read()).entries), sum(".journal." in str(one) for one in attempts))
"""


def test_a_journal_that_somebody_took_away_is_written_anew(leftovers: Any) -> None:
    own = Journal(str(leftovers.directory))
    lease = Lease("kind.x", "", "me", 0)
    own.intend(lease, Target(Recovery.PROVIDER, "x"))
    os.unlink(own.path)
    leftovers.directory.rmdir()
    own.repair()
    assert [record.lease for record in recovery.held(str(leftovers.directory))] == [lease.id]
    own.close(remove=False)


def test_a_token_does_not_depend_on_whether_there_is_a_journal() -> None:
    ledger = Ledger(journal="none")
    lease = ledger.open("kind.x", "", "me", 0)
    assert len(ledger.token(lease)) == 28
    own = Journal.existing()
    assert own is None or journal.token(own.owner, lease.id) == ledger.token(lease)


def test_without_a_loop_nothing_is_created(uses: Run) -> None:
    done = uses("""
files = asyncio.run(ready())
try:
    files.create_one(name="x").send(None)
except RuntimeError as error:
    print(error, files.ledger.statistics().held)
""")
    assert done.stdout == "no running event loop 0\n"
