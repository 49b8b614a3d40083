from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import LeaseStateError, ResourceUnavailableError
from plugin_file import FileProvider, LocalFile, ReplacementFile, TempFile

names = st.sampled_from(["a", "b", "c"])
steps = st.one_of(
    st.tuples(st.just("local"), names, st.integers(0, 9), st.booleans()),
    st.tuples(st.just("temp"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("draft"), names, st.integers(0, 9)),
    st.tuples(st.just("commit"), st.integers(0, 9)),
    st.tuples(st.just("write"), st.integers(0, 9), st.binary(min_size=1, max_size=5)),
    st.tuples(st.just("keep"), st.integers(0, 9), names),
    st.tuples(st.just("release"), st.integers(0, 9)),
    st.tuples(st.just("replace"), names, st.binary(max_size=5)),
)


class Model:
    """What the directory ought to hold: name -> contents, and which of the names each lease still answers for."""

    def __init__(self, provider: FileProvider, where: str) -> None:
        self.provider = provider
        self.where = where
        self.contents: dict[str, bytes] = {}  # what has no name yet is under its lease, after NUL
        self.held: list[tuple[LocalFile, int]] = []
        self.place: dict[int, str | None] = {}  # lease -> where its file is; nowhere when somebody replaced it
        self.stays: set[int] = set()

    async def local(self, name: str, size: int, persistent: bool) -> None:
        path = os.path.join(self.where, name)
        if name in self.contents:
            with pytest.raises(ResourceUnavailableError):
                await self.provider.create_local_file("m", path, size, persistent)
            return
        file = await self.provider.create_local_file("m", path, size, persistent)
        self.hold(file, name, bytes(size))
        if persistent:
            self.stays.add(file.lease.id)

    async def temp(self, size: int, named: bool) -> None:
        file = await self.provider.create_temp_file("m", size, directory=self.where)
        self.hold(file, os.path.basename(file.path) if named else f"\0{file.lease.id}", bytes(size))

    async def draft(self, name: str, size: int) -> None:
        path = os.path.join(self.where, name)
        file = await self.provider.create_local_file("m", path, size, replace=True)
        self.hold(file, f"\0{file.lease.id}", bytes(size))

    def hold(self, file: LocalFile, name: str, contents: bytes) -> None:
        self.held.append((file, file.lease.id))
        self.contents[name] = contents
        self.place[file.lease.id] = name

    async def write(self, which: int, data: bytes) -> None:
        if not self.held:
            return
        file, lease = self.held[which % len(self.held)]
        name = self.place[lease]
        if name is None:
            with pytest.raises(ResourceUnavailableError):
                file.open("ab")
            return
        with file.open("ab") as handle:
            handle.write(data)
        self.contents[name] += data

    async def keep(self, which: int, name: str) -> None:
        loose = [(file, lease) for file, lease in self.held if isinstance(file, TempFile) and lease not in self.stays]
        if not loose:
            return
        file, lease = loose[which % len(loose)]
        assert isinstance(file, TempFile)
        await file.keep_as(os.path.join(self.where, name))
        self.stay(lease, name)

    async def commit(self, which: int) -> None:
        loose = [(file, lease) for file, lease in self.held if isinstance(file, ReplacementFile)]
        if not loose:
            return
        file, lease = loose[which % len(loose)]
        assert isinstance(file, ReplacementFile)
        if lease in self.stays:
            with pytest.raises(LeaseStateError):
                await file.commit()
            return
        await file.commit()
        self.stay(lease, os.path.basename(file.path))

    def stay(self, lease: int, name: str) -> None:
        self.forget(name)
        former = self.place[lease]
        assert former is not None
        self.contents[name] = self.contents.pop(former)
        self.place[lease] = name
        self.stays.add(lease)

    async def replace(self, name: str, data: bytes) -> None:
        other = os.path.join(self.where, "incoming")
        Path(other).write_bytes(data)
        os.replace(other, os.path.join(self.where, name))
        self.forget(name)
        self.contents[name] = data

    def forget(self, name: str) -> None:
        """Note that whoever had its file under a name has it there no more."""
        for lease, place in self.place.items():
            if place == name:
                self.place[lease] = None

    async def release(self, which: int) -> None:
        if not self.held:
            return
        file, lease = self.held.pop(which % len(self.held))
        await file.release()
        name = self.place.pop(lease)
        if name is not None and lease not in self.stays:
            del self.contents[name]

    def check(self) -> None:
        found = {name: Path(self.where, name).read_bytes() for name in os.listdir(self.where)}
        assert found == {name: data for name, data in self.contents.items() if not name.startswith("\0")}


@settings(max_examples=150, deadline=None)
@given(sequence=st.lists(steps, max_size=25))
def test_any_sequence_leaves_exactly_what_was_meant_to_stay(
    sequence: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def play(where: str) -> None:
        provider = FileProvider()
        await provider.initialize()
        model = Model(provider, where)
        for operation, *arguments in sequence:
            await getattr(model, str(operation))(*arguments)
            model.check()
        while model.held:
            await model.release(len(model.held) - 1)
        model.check()
        await provider.cleanup()
        assert provider.ledger.statistics().held_bytes == 0

    with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as where:
        asyncio.run(play(where))
