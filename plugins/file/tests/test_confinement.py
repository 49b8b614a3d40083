"""Nobody leads a request out of the allowed directories, however fast they exchange them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.errors import FrameworkError, LeaseStateError, PolicyError
from plugin_file import FileProvider, ReplacementFile, TempFile, places

pytestmark = pytest.mark.anyio

ROUNDS = 400


@pytest.fixture
def exchanged(tmp_path: Path) -> Iterator[Path]:
    """A directory inside `tmp_path/inside` that a thread keeps exchanging for a link to `tmp_path/outside`."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "real").mkdir(parents=True)
    outside.mkdir()
    done = threading.Event()
    swapped = inside / "swapped"

    def exchange() -> None:
        while not done.is_set():
            os.rename(inside / "real", swapped)
            os.rename(swapped, inside / "real")
            os.symlink(outside, swapped)
            os.unlink(swapped)

    thread = threading.Thread(target=exchange)
    thread.start()
    yield swapped
    done.set()
    thread.join()


@pytest.fixture(params=[True, False], ids=["proc", "steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With /proc, and as where it is not mounted."""
    if not request.param:

        class NoProc:
            def __getattr__(self, name: str) -> object:
                return getattr(os, name)

            def readlink(self, path: str) -> str:
                raise FileNotFoundError(path)

        monkeypatch.setattr(places, "os", NoProc())


@pytest.mark.usefixtures("way")
async def test_nothing_is_ever_created_outside(exchanged: Path, tmp_path: Path) -> None:
    provider = FileProvider(roots=[str(tmp_path / "inside")])
    await provider.initialize()
    outcomes: Counter[str] = Counter()
    outside = tmp_path / "outside"
    for number in range(ROUNDS):
        try:
            if number % 3 == 0:
                resource = await provider.create_directory("d", exchanged / "a")
            elif number % 3 == 1:
                resource = await provider.create_local_file("f", exchanged / "a")  # type: ignore[assignment]
            else:
                resource = await provider.create_temp_file("t", directory=exchanged)  # type: ignore[assignment]
                assert resource.path
        except FrameworkError as error:
            outcomes[type(error).__name__] += 1
            continue
        outcomes["made"] += 1
        assert os.listdir(outside) == []
        await resource.release()
    assert os.listdir(outside) == []
    assert outcomes.keys() <= {"made", "PolicyError", "ResourceUnavailableError"}


async def test_nothing_is_ever_removed_or_replaced_outside(exchanged: Path, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (outside / "a").write_bytes(b"precious")
    provider = FileProvider(roots=[str(inside)])
    await provider.initialize()
    for number in range(ROUNDS):
        try:
            file = await provider.create_local_file("f", exchanged / "a", replace=number % 2 == 0)
        except FrameworkError:
            continue
        if isinstance(file, ReplacementFile):
            with contextlib.suppress(FrameworkError):
                await file.commit()
        await file.release()
        for left in (inside / "real" / "a", exchanged / "a"):  # committed, or moved away while it was released
            try:
                if left.stat().st_size == 0:
                    left.unlink()
            except OSError:
                continue
        assert (outside / "a").read_bytes() == b"precious"
    assert os.listdir(outside) == ["a"]


@pytest.mark.usefixtures("way")
async def test_the_two_ways_of_opening_agree(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    provider = FileProvider(roots=[str(tmp_path / "real")])
    await provider.initialize()
    async with await provider.create_local_file("a", tmp_path / "link" / "a") as file:
        assert file.path == str(tmp_path / "real" / "a")
    with pytest.raises(PolicyError):
        await provider.create_local_file("a", tmp_path / "a")


async def test_a_temporary_file_whose_directory_was_exchanged_gets_no_name_elsewhere(
    provider: FileProvider, tmp_path: Path
) -> None:
    inner, outside = tmp_path / "inner", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    file = await provider.create_temp_file("t", directory=inner)
    assert isinstance(file, TempFile)
    inner.rename(tmp_path / "moved")
    inner.symlink_to(outside)
    with pytest.raises(FrameworkError, match="is not the file that was created"):
        _ = file.path
    await file.release()
    with pytest.raises(LeaseStateError):
        _ = file.path
    assert os.listdir(outside) == os.listdir(tmp_path / "moved") == []
