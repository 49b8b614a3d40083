from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from framework.errors import (
    InvalidRequestError,
    LeaseStateError,
    PolicyError,
    ResourceLimitError,
    ResourceUnavailableError,
)
from plugin_memory import MemoryProvider, shm

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]
CHUNKS = 3 * (16 << 20)  # reserved in three steps, between which others run


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{shm.segment_name(name)}")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_removing_what_is_not_there_says_so(provider: MemoryProvider, unique: str) -> None:
    with pytest.raises(ResourceUnavailableError, match="no such file"):
        await provider.remove_shared_memory(unique)


async def test_a_taken_name_is_refused_with_the_ways_out(provider: MemoryProvider, unique: str) -> None:
    await provider.create_shared_memory(unique, 10)
    with pytest.raises(
        ResourceUnavailableError, match=r"file exists.*another name.*memory\.attached.*remove"
    ) as caught:
        await provider.create_shared_memory(unique, 10)
    assert repr(unique) in str(caught.value)
    assert exists(unique)


async def test_attaching_to_nothing_says_so(provider: MemoryProvider, unique: str) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"no such file.*Create it first"):
        await provider.attach_shared_memory(unique)


async def test_size_zero_is_refused(provider: MemoryProvider, unique: str) -> None:
    with pytest.raises(InvalidRequestError, match="size 0; the least that can be mapped is 1 byte"):
        await provider.create_shared_memory(unique, 0)


@pytest.mark.parametrize("size", [1 << 45, 1 << 63, 1 << 200])
async def test_more_than_the_machine_has_is_refused(provider: MemoryProvider, unique: str, size: int) -> None:
    with pytest.raises(ResourceLimitError, match=rf"{size}, but this machine has \d+ bytes"):
        await provider.create_shared_memory(unique, size)
    assert provider.ledger.statistics().held_bytes == 0


@pytest.mark.parametrize("name", ["a b", "-rf", "ünïcödé", "€" * 60, "x" * 200, "a\\b", "framework.x", "%s{}"])
async def test_odd_names_work_and_are_told_apart(provider: MemoryProvider, unique: str, name: str) -> None:
    name = f"{unique}{name}"[:200]
    async with await provider.create_shared_memory(name, 10) as memory:
        memory.buffer[0] = 3
        async with await provider.attach_shared_memory(name) as attached:
            assert attached.buffer[0] == 3
            assert attached.segment == memory.segment
    assert not os.path.exists(f"/dev/shm/{memory.segment}")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a\0b", "a\nb", "\udcff", "x" * 201])
async def test_names_that_nobody_could_type_are_refused(provider: MemoryProvider, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        await provider.create_shared_memory(name, 10)


async def test_the_buffer_of_released_memory_is_refused(provider: MemoryProvider, unique: str) -> None:
    memory = await provider.create_shared_memory(unique, 10)
    await memory.release()
    with pytest.raises(LeaseStateError, match="was released"):
        _ = memory.buffer


async def test_a_thousand_leases_leave_no_descriptor(provider: MemoryProvider, unique: str) -> None:
    before = open_descriptors()
    for _ in range(1000):
        async with await provider.create_shared_memory(unique, 100):
            pass
    assert open_descriptors() == before


async def test_a_half_made_segment_is_seen_by_nobody(provider: MemoryProvider, unique: str) -> None:
    creation = asyncio.create_task(provider.create_shared_memory(unique, CHUNKS))
    await asyncio.sleep(0)  # the first of three steps
    assert not exists(unique)
    with pytest.raises(ResourceUnavailableError, match="no such file"):
        await provider.attach_shared_memory(unique)
    await (await creation).release()


async def test_a_segment_without_a_size_is_not_attached(provider: MemoryProvider, unique: str) -> None:
    path = f"/dev/shm/{shm.segment_name(unique)}"
    with open(path, "xb"):
        pass
    with pytest.raises(ResourceUnavailableError, match="not complete"):
        await provider.attach_shared_memory(unique)
    os.unlink(path)


async def test_segments_of_another_user_are_refused(unique: str, as_nobody: tuple[str, ...], run: Script) -> None:
    path = f"/dev/shm/{shm.segment_name(unique)}"
    with open(path, "wb") as stranger:
        stranger.write(b"bait")
    os.chmod(path, 0o666)
    found = run(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            report(refused=await refused(provider.attach_shared_memory(sys.argv[1])))
        asyncio.run(main())
        """,
        unique,
        prefix=as_nobody,
    )
    os.unlink(path)
    assert found["refused"][0] == PolicyError.__name__
    assert "belongs to user 0; only memory of user 65534" in found["refused"][1]


async def test_a_full_shm_is_an_error_and_never_a_signal(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            beyond = await refused(provider.create_shared_memory("beyond", 65 << 20))
            first = await provider.create_shared_memory("first", 40 << 20)
            free = await refused(provider.create_shared_memory("second", 40 << 20))
            first.buffer[-1] = 1
            report(beyond=beyond, free=free, left=segments(), held=provider.ledger.statistics().held_bytes)
            await provider.cleanup()
        asyncio.run(main())
        """
    )
    assert found["beyond"][0] == ResourceLimitError.__name__
    assert f"{65 << 20}, but /dev/shm has {64 << 20} bytes" in found["beyond"][1]
    assert found["free"][0] == ResourceUnavailableError.__name__
    assert f"{40 << 20}, but /dev/shm has {24 << 20} bytes free" in found["free"][1]
    assert found["left"] == ["framework.first"]
    assert found["held"] == 40 << 20


async def test_a_shm_that_fills_up_during_the_creation_leaves_nothing(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            creation = asyncio.ensure_future(refused(provider.create_shared_memory("slow", 48 << 20)))
            await asyncio.sleep(0)  # the first of three steps
            with open("/dev/shm/filler", "wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, 40 << 20)
            report(refused=await creation, left=segments(), held=provider.ledger.statistics().held_bytes)
        asyncio.run(main())
        """
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "no space left on device" in found["refused"][1]
    assert found["left"] == ["filler"]
    assert found["held"] == 0


async def test_the_limit_on_file_sizes_is_an_error_and_leaves_nothing(run: Script, unique: str) -> None:
    found = run(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            report(refused=await refused(provider.create_shared_memory(sys.argv[1], 8192)))
        asyncio.run(main())
        """,
        unique,
    )
    assert found["refused"][0] == ResourceLimitError.__name__
    assert "of 8192 bytes is refused: file too large" in found["refused"][1]
    assert not exists(unique)


async def test_no_descriptor_left_is_an_error_and_leaves_nothing(run: Script, unique: str) -> None:
    found = run(
        """
        import resource
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            taken = []
            try:
                while True:
                    taken.append(os.dup(0))
            except OSError:
                os.close(taken.pop())  # one is enough to create, but a mapping needs its own
            refusal = await refused(provider.create_shared_memory(sys.argv[1], 10))
            for descriptor in taken:
                os.close(descriptor)
            report(refused=refusal)
        asyncio.run(main())
        """,
        unique,
    )
    assert found["refused"][0] == ResourceLimitError.__name__
    assert "too many open files" in found["refused"][1]
    assert not exists(unique)


async def test_a_shm_of_4_mib_is_an_error_when_it_is_full(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            beyond = await refused(provider.create_shared_memory("beyond", 64 << 20))
            held, last = [], ["accepted", ""]
            while last[0] == "accepted":  # of a size that is not looked at before
                last = await refused(create(held, provider))
            for memory in held:
                memory.buffer[:] = b"x" * memory.size  # would be SIGBUS if it were not reserved
            free = await provider.create("memory.shared", size=8 << 20)  # without a name it is not in there
            free.buffer[:] = b"x" * free.size
            report(beyond=beyond, last=last, held=len(held), left=len(segments()))
            await provider.cleanup()

        async def create(held, provider):
            held.append(await provider.create_shared_memory(f"part{len(held)}", 1 << 20))

        asyncio.run(main())
        """,
        options="size=4m",
    )
    assert found["beyond"][0] == ResourceLimitError.__name__
    assert found["last"][0] == ResourceUnavailableError.__name__
    assert "no space left on device" in found["last"][1]
    assert found["held"] == found["left"] == 4


@pytest.mark.parametrize(("options", "cause"), [("nr_inodes=1", "no space left on device"), ("ro", "read-only")])
async def test_no_inodes_and_a_read_only_shm_are_errors(run_with_small_shm: Script, options: str, cause: str) -> None:
    found = run_with_small_shm(
        """
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            report(refused=await refused(provider.create_shared_memory("a", 10)), left=segments())
        asyncio.run(main())
        """,
        options=options,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert cause in found["refused"][1]
    assert found["left"] == []


async def test_a_journal_without_room_is_an_error_before_anything_is_made(run_with_small_shm: Script) -> None:
    found = run_with_small_shm(
        """
        os.environ["XDG_STATE_HOME"] = "/dev/shm/state"
        async def main():
            provider = MemoryProvider()
            await provider.initialize()
            await (await provider.create_shared_memory("first", 10)).release()
            filler = open("/dev/shm/filler", "wb", buffering=0)
            os.posix_fallocate(filler.fileno(), 0, os.statvfs("/dev/shm").f_bavail * 4096 - 4096)
            from framework.journal import Journal
            while Journal.current()._size % 4096 < 4000:
                Journal.current()._append(b"x" * 50)  # up to the end of its page
            refusal = await refused(provider.create_shared_memory("second", 10))
            report(refused=refusal, left=segments())
        asyncio.run(main())
        """
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "journal" in found["refused"][1]
    assert found["left"] == ["filler", "state"]
