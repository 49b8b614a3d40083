from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError
from plugin_file import FileProvider

pytestmark = pytest.mark.anyio

Script = Callable[..., dict[str, Any]]


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/tmp/x"


@pytest.mark.parametrize("path", ["", "/", ".", "..", "a/", "a/..", "nul\0", "a\0/b", "\ud800", BytesPath()])
async def test_what_cannot_be_a_file_is_refused(provider: FileProvider, path: Any) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be that of a file"):
        await provider.create_local_file("a", path)


async def test_a_name_that_is_too_long_is_refused(provider: FileProvider, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"file name too long.*shorter"):
        await provider.create_local_file("a", tmp_path / ("x" * 300))


async def test_a_missing_directory_is_named(provider: FileProvider, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(ResourceUnavailableError, match=r"no such file or directory.*Create its directory") as caught:
        await provider.create_local_file("a", f"{missing}/a.dat")
    assert repr(missing) in str(caught.value)


async def test_a_file_as_directory_is_refused(provider: FileProvider, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceUnavailableError, match="not a directory"):
        await provider.create_local_file("a", tmp_path / "file" / "a.dat")


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling"])
async def test_what_is_there_already_is_left_alone(provider: FileProvider, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.dat"
    (tmp_path / "other").write_bytes(b"precious")
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / ("other" if kind == "link" else "nowhere"))
    expected = "a directory is there" if kind == "directory" else "file exists"
    with pytest.raises(ResourceUnavailableError, match=rf"{expected}.*Choose another path"):
        await provider.create_local_file("a", path, size=10)
    assert kind != "file" or path.read_bytes() == b"precious"
    assert (tmp_path / "other").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()
    assert provider.ledger.statistics().held_bytes == 0


async def test_a_relative_path_starts_at_the_current_directory(
    provider: FileProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with await provider.create_local_file("a", "a.dat") as file:
        assert file.path == str(tmp_path / "a.dat")
        monkeypatch.chdir("/")
    assert os.listdir(tmp_path) == []


async def test_names_that_are_not_utf8_work(provider: FileProvider, tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.dat"
    async with await provider.create_local_file("a", os.fsdecode(raw), size=3) as file:
        assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.dat"]
        assert os.fsencode(file.path) == raw
        with pytest.raises(ResourceUnavailableError) as caught:
            await provider.create_local_file("b", file.path)
        str(caught.value).encode()  # can be shown
    async with await provider.create_temp_file("t", directory=tmp_path, suffix=os.fsdecode(b".\xff")) as temporary:
        await temporary.keep_as(os.fsdecode(raw))
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.dat"]


@pytest.mark.parametrize("name", ["-rf", " ", "\n", "%s", "*", "é", "a\\b"])
async def test_odd_names_work(provider: FileProvider, tmp_path: Path, name: str) -> None:
    async with await provider.create_local_file("a", tmp_path / name):
        assert os.listdir(tmp_path) == [name]
    assert os.listdir(tmp_path) == []


async def confined(root: Path) -> FileProvider:
    provider = FileProvider(roots=[str(root)])
    await provider.initialize()
    return provider


@pytest.mark.parametrize(
    "path", ["outside/a", "inside/../a", "inside/out/a", "insider/a", "inside/deep/../../outside/a"]
)
async def test_outside_the_roots_is_refused(tmp_path: Path, path: str) -> None:
    for directory in ("inside/deep", "outside", "insider"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "inside" / "out").symlink_to(tmp_path / "outside")
    provider = await confined(tmp_path / "inside")
    with pytest.raises(PolicyError, match=r"resolves to .*outside the allowed .*inside"):
        await provider.create_local_file("a", f"{tmp_path}/{path}")
    assert not list(tmp_path.rglob("a"))


@pytest.mark.parametrize("path", ["inside/a", "inside/deep/a", "link/a", "inside/deep/../a"])
async def test_inside_the_roots_is_allowed(tmp_path: Path, path: str) -> None:
    (tmp_path / "inside" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "inside")
    provider = await confined(tmp_path / "link")  # a root may be a link too
    async with await provider.create_local_file("a", f"{tmp_path}/{path}") as file:
        assert file.path.startswith(str(tmp_path / "inside"))
        assert os.path.exists(file.path)


async def test_the_root_of_everything_allows_everything(tmp_path: Path) -> None:
    provider = await confined(Path("/"))
    async with await provider.create_local_file("a", tmp_path / "a"):
        assert os.listdir(tmp_path) == ["a"]


async def test_no_permission_is_an_error_that_names_the_directory(
    run: Script, tmp_path: Path, as_nobody: tuple[str, ...]
) -> None:
    for parent in [tmp_path, *tmp_path.parents]:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    (tmp_path / "closed").mkdir(mode=0o700)
    found = run(
        """
        async def main():
            provider = await ready()
            report(
                create=await refused(provider.create_local_file("a", where + "/a")),
                enter=await refused(provider.create_local_file("a", where + "/closed/a")),
                temp=await refused(provider.create_temp_file("a", directory=where)),
            )
        asyncio.run(main())
        """,
        tmp_path,
        prefix=as_nobody,
    )
    for name, text in found.values():
        assert name == ResourceUnavailableError.__name__
        assert "permission denied" in text
        assert str(tmp_path) in text


async def test_a_read_only_file_system_is_an_error(run_on: Script, tmp_path: Path) -> None:
    found = run_on(
        "tmpfs",
        "ro",
        """
        async def main():
            report(refused=await refused((await ready()).create_local_file("a", where + "/a")))
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert found["refused"][0] == ResourceUnavailableError.__name__
    assert "read-only file system" in found["refused"][1]
