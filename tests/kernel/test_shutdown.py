"""SIGTERM and SIGHUP: everything is given back within a budget, then the signal does what it always did."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

HOST = """
import asyncio, os, signal, sys, threading, time
from framework import Framework, Plugin, PluginType, Recovery, Resource, ResourceProvider, creates, hookimpl, plugin
from framework import journal, recovery

class File(Resource):
    def __init__(self, path, how):
        self.path, self.how = path, how

    async def _close(self):
        if self.how == "raises":
            raise ValueError("no")
        if self.how == "hangs":
            await asyncio.Event().wait()
        if self.how == "told":
            tell()
            await asyncio.sleep(0.1)
            print("given back", flush=True)
        os.unlink(self.path)

class Files(ResourceProvider):
    @creates("file.plain")
    async def create_one(self, name: str, how: str = "") -> File:
        path = os.path.join(os.environ["PLACE"], self.token())
        self.intend(Recovery.UNLINK, path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return File(path, how)

@plugin(name="files", version="1", description="d", author="a", plugin_type=PluginType.PROVIDER, dependencies=[])
class FilesPlugin(Plugin):
    @hookimpl
    def register_resource_providers(self):
        return [Files()]

def host(**more):
    return Framework.from_config({"plugins": {}, "timeouts": {"drain": 1.0}, **more}, plugins=[FilesPlugin()])

def tell(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the files are."""
    place = tmp_path / "files"
    place.mkdir()
    return place


def ends(run_python: Run, place: Path, code: str, *, by: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a host, and hold that nothing is left of it."""
    done = run_python(HOST + code, by=by, PLACE=str(place))
    assert list(place.iterdir()) == [], done.stderr
    assert list((place.parent / "state" / "framework" / "leases").glob("*")) == []
    return done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["", "raises", "hangs"])
def test_everything_is_given_back_and_then_the_process_ends_by_the_signal(
    run_python: Run, place: Path, number: signal.Signals, how: str
) -> None:
    done = ends(
        run_python,
        place,
        f"""
async def main():
    async with host() as fw:
        kept = [await fw.acquire("file.plain", how={how!r}) for _ in range(3)]
        tell({int(number)})
        await asyncio.Event().wait()
asyncio.run(main())
""",
    )
    assert done.returncode == -number, done.stderr


def test_a_signal_in_the_middle_of_closing_waits_for_the_end_of_it(run_python: Run, place: Path) -> None:
    done = ends(
        run_python,
        place,
        """
async def main():
    async with host(timeouts={"drain": 30.0}) as fw:
        kept = await fw.acquire("file.plain", how="told")
asyncio.run(main())
time.sleep(60)
""",
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "given back\n"), done.stderr


def test_a_loop_that_is_blocked_cannot_keep_the_process_alive(run_python: Run, place: Path) -> None:
    done = ends(
        run_python,
        place,
        """
async def main():
    async with host() as fw:
        kept = await fw.acquire("file.plain")
        tell()
        while True:
            time.sleep(0.01)
asyncio.run(main())
""",
    )
    assert done.returncode == -signal.SIGTERM


def test_a_second_signal_ends_it_at_once_and_the_next_process_gives_back(run_python: Run, place: Path) -> None:
    done = run_python(
        HOST
        + """
async def main():
    async with host(timeouts={"drain": 1000.0}) as fw:
        kept = await fw.acquire("file.plain", how="hangs")
        tell()
        tell()
        await asyncio.Event().wait()
asyncio.run(main())
""",
        PLACE=str(place),
    )
    assert done.returncode == -signal.SIGTERM
    ends(run_python, place, "print([one.outcome for one in recovery.reclaim()])")


def test_a_signal_that_the_program_handles_is_left_to_it(run_python: Run, place: Path) -> None:
    done = ends(
        run_python,
        place,
        """
async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with host() as fw:
        kept = await fw.acquire("file.plain")
        tell()
        await told.wait()
        print(kept.is_allocated())
asyncio.run(main())
""",
    )
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_a_forked_child_that_is_told_to_end_leaves_its_parents_things_alone(run_python: Run, place: Path) -> None:
    done = ends(
        run_python,
        place,
        """
async def main():
    async with host() as fw:
        kept = await fw.acquire("file.plain")
        child = os.fork()
        if child == 0:
            tell()
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.path.exists(kept.path))
asyncio.run(main())
""",
    )
    assert done.stdout == "-15 True\n"


def test_when_nothing_can_be_settled_the_process_ends_all_the_same(run_python: Run, place: Path) -> None:
    done = run_python(
        HOST
        + """
async def main():
    async with host() as fw:
        kept = await fw.acquire("file.plain", how="hangs")
        journal.Journal.existing().content = None  # so that settling raises
        tell()
        await asyncio.Event().wait()
asyncio.run(main())
""",
        PLACE=str(place),
    )
    assert done.returncode == -signal.SIGTERM


def test_without_another_thread_it_ends_by_the_signal_too(run_python: Run, place: Path) -> None:
    done = ends(
        run_python,
        place,
        """
import resource
async def main():
    async with host() as fw:
        kept = await fw.acquire("file.plain")
        threading.stack_size(1 << 40)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 39, 1 << 39))
        tell()
        await asyncio.Event().wait()
asyncio.run(main())
""",
    )
    assert done.returncode == -signal.SIGTERM, done.stderr


def test_the_first_process_of_a_container_ends_too(
    run_python: Run, place: Path, can_unshare: Callable[..., None]
) -> None:
    can_unshare("--pid", "--fork", "--mount-proc")
    done = ends(
        run_python,
        place,
        """
async def main():
    async with host() as fw:
        assert os.getpid() == 1
        kept = await fw.acquire("file.plain")
        tell()
        await asyncio.Event().wait()
asyncio.run(main())
""",
        by=("unshare", "--pid", "--fork", "--mount-proc"),
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
