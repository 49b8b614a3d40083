"""Unix sockets, and that a path is removed by whoever made it and by nobody else."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import Recovery
from framework.errors import InvalidRequestError, ResourceError, ResourceLimitError, ResourceUnavailableError
from framework.testing.cancellation import at_each_step
from plugin_network import NetworkProvider, NetworkSettings
from plugin_network.unix import SocketFile

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_client_is_served_and_the_name_is_free_again(
    provider: NetworkProvider, tmp_path: Path, abstract: bool
) -> None:
    path = f"@framework-{os.getpid()}" if abstract else str(tmp_path / "app.sock")

    for _ in range(2):
        async with await provider.create_socket("home", protocol="unix", path=path) as home:
            assert (home.path, home.protocol, home.port) == (path, "unix", 0)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"\0{path[1:]}" if abstract else path)
                async with await home.accept() as stream:
                    client.sendall(b"hello\n")
                    assert await stream.receive_line() == b"hello\n"
                    client.close()
                    with pytest.raises(ResourceUnavailableError, match="when the peer finished"):
                        await stream.receive_exactly(1)
            if not abstract:
                assert os.listdir(tmp_path) == ["app.sock"]
        assert os.listdir(tmp_path) == []


async def test_a_path_that_is_served_or_in_the_way_is_refused(provider: NetworkProvider, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    home = await provider.create_socket("home", protocol="unix", path=str(path))
    with pytest.raises(ResourceUnavailableError, match="somebody does already"):
        await provider.create_socket("again", protocol="unix", path=str(path))
    await home.release()
    path.write_bytes(b"something precious")

    with pytest.raises(ResourceUnavailableError, match="something is there"):
        await provider.create_socket("again", protocol="unix", path=str(path))

    assert path.read_bytes() == b"something precious"
    assert os.listdir(tmp_path) == ["app.sock"]


async def test_an_abstract_name_that_is_taken_is_refused(provider: NetworkProvider) -> None:
    name = f"@framework-{os.getpid()}"
    home = await provider.create_socket("home", protocol="unix", path=name)
    with pytest.raises(ResourceUnavailableError, match="somebody does already"):
        await provider.create_socket("again", protocol="unix", path=name)
    await home.release()


async def test_what_somebody_put_in_its_place_is_not_removed(provider: NetworkProvider, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    home = await provider.create_socket("home", protocol="unix", path=str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))

        await home.release()

        assert path.is_socket()


async def test_a_long_folder_and_links_to_it_are_no_obstacle(provider: NetworkProvider, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * (95 - len(str(tmp_path))))
    folder.mkdir()
    (tmp_path / "l").symlink_to(folder)
    path = f"{folder}/s"
    assert len(path) < 107 < len(path) + 28  # the hidden name does not fit in front of it

    async with await provider.create_socket("home", protocol="unix", path=f"{tmp_path}/l/s") as home:
        assert home.path == path
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            async with await home.accept():
                pass
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"protocol": "unix"}, "Pass a path"),
        ({"path": "/tmp/x"}, "Pass a path"),
        ({"protocol": "unix", "path": "/tmp/x", "port": 1}, "Pass a path"),
        ({"protocol": "unix", "path": "/" * 108}, "2 to 107 bytes"),
        ({"protocol": "unix", "path": "@"}, "2 to 107 bytes"),
        ({"backlog": 0}, "backlog 0"),
    ],
)
async def test_a_request_that_cannot_be_is_refused(
    provider: NetworkProvider, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await provider.create("network.socket", **wrong)


@pytest.mark.parametrize("folder", ["/nowhere", "/proc/self"])
async def test_a_folder_that_cannot_be_used_is_said(provider: NetworkProvider, folder: str) -> None:
    with pytest.raises(ResourceUnavailableError, match="cannot listen on"):
        await provider.create_socket("s", protocol="unix", path=f"{folder}/s")


async def test_no_more_are_accepted_than_allowed(tmp_path: Path) -> None:
    provider = NetworkProvider(NetworkSettings(max_accepted=1))
    await provider.initialize()
    home = await provider.create_socket("home", protocol="unix", path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.connect(home.path)
        other.connect(home.path)
        stream = await home.accept()
        with pytest.raises(ResourceLimitError, match="max_accepted allows 1"):
            await home.accept()
        await stream.aclose()
        async with await home.accept() as second:  # it stayed in the queue
            other.sendall(b"x")
            assert await second.receive() == b"x"
    await provider.cleanup()


async def test_cancelling_at_each_step_leaves_nothing(provider: NetworkProvider, tmp_path: Path) -> None:
    async for steps, resources in at_each_step(
        lambda: provider.create_socket("s", protocol="unix", path=str(tmp_path / "s"))
    ):
        for one in resources:
            await one.release()
        assert os.listdir(tmp_path) == [], steps


# What a process that is killed leaves, step by step. Its intents, as the journal keeps them, are printed.
KILLED = """
import asyncio, os, signal, sys
from plugin_network import NetworkProvider
import plugin_network.unix as unix

path, call, when = sys.argv[1:4]

class Told(NetworkProvider):
    def intend(self, verb, path, **more):
        print(verb.value, path, flush=True)
        super().intend(verb, path, **more)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def watched(real):
    def step(*args, **more):
        if when == "before":
            die()
        try:
            return real(*args, **more)
        finally:
            die()
    return step

if call in ("link", "unlink", "stat"):
    # the calls of the plugin alone, of which each happens once
    unix.os = type(os)("os")
    vars(unix.os).update(vars(os))
    setattr(unix.os, call, watched(getattr(os, call)))

async def main():
    provider = Told()
    await provider.initialize()
    async with await provider.create_socket("s", protocol="unix", path=path):
        die()

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["stat", "link", "unlink", "held"])
async def test_whatever_a_killed_process_left_is_known_to_be_its_own(
    provider: NetworkProvider, tmp_path: Path, call: str, when: str
) -> None:
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "s"), call, when]
    killed = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    for verb, path in (line.split(" ", 1) for line in killed.stdout.splitlines()):
        if verb == Recovery.UNLINK.value:
            with contextlib.suppress(FileNotFoundError):
                assert os.lstat(path)
                os.unlink(path)
        else:
            await provider.reclaim(path)
            await provider.reclaim(path)  # what is undone already is fine

    assert os.listdir(tmp_path) == []


@pytest.fixture
def left_behind(tmp_path: Path) -> Callable[[], SocketFile]:
    def leave() -> SocketFile:
        """Make what a process that died has left."""
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
        return SocketFile.of(os.lstat(path), path)

    return leave


async def test_a_look_alike_is_not_reclaimed(
    provider: NetworkProvider, tmp_path: Path, left_behind: Callable[[], SocketFile]
) -> None:
    dead = left_behind()
    os.unlink(dead.path)
    again = left_behind()  # on most file systems it gets the same inode number

    await provider.reclaim(dead.encode())
    assert os.path.exists(dead.path)

    os.rename(dead.path, tmp_path / "moved")
    (tmp_path / "s").write_bytes(b"something precious")
    await provider.reclaim(again.encode())
    assert sorted(os.listdir(tmp_path)) == ["moved", "s"]


async def test_who_listens_there_by_now_is_not_asked(
    provider: NetworkProvider, tmp_path: Path, left_behind: Callable[[], SocketFile]
) -> None:
    """What the dead had left is gone then; and a question would be a connection that nobody there expects."""
    dead = left_behind()
    os.unlink(dead.path)
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(dead.path)
        another.listen()
        another.settimeout(0)

        await provider.reclaim(dead.encode())

        assert os.path.exists(dead.path)
        with pytest.raises(BlockingIOError):
            another.accept()


async def test_a_path_that_a_child_still_serves_is_not_reclaimed(provider: NetworkProvider, tmp_path: Path) -> None:
    home = await provider.create_socket("home", protocol="unix", path=str(tmp_path / "s"))
    file = SocketFile.of(os.lstat(home.path), home.path)

    with pytest.raises(ResourceError, match="somebody still listens"):
        await provider.reclaim(file.encode())

    assert os.path.exists(home.path)
    waiting = asyncio.create_task(home.accept())
    await waiting  # the question was a connection, too
    await home.release()
