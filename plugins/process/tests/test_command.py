"""What may be run, and how what may not be is refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError
from plugin_process import ProcessProvider, ProcessSettings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"command": ""}, "the name or the path of a program"),
        ({"command": "a\0b"}, "the name or the path of a program"),
        ({"command": 5}, "a int; allowed: str"),
        ({"args": ["fine", 5]}, "a int as argument 2"),
        ({"args": ["a\0b"]}, "a NUL character in argument 1"),
        ({"args": "abc"}, "a str; allowed: list or None"),
        ({"env": {"SECRET": "hush\0"}}, r"env\['SECRET'\]"),
        ({"env": {"A=B": "x"}}, r"env\['A=B'\]"),
        ({"env": {"": "x"}}, r"env\[''\]"),
        ({"env": {"A": 1}}, r"env\['A'\], a int"),
        ({"size": 4095}, "max_memory=4095; allowed: 4096 to"),
        ({"stdin": "text"}, "'text'; allowed: bytes, 'pipe', 'inherit' or None"),
        ({"stdout": "stdout"}, "allowed: 'capture', 'inherit', 'discard'"),
        ({"shell": "yes"}, "a str; allowed: bool"),
        ({"user": "no-such-user"}, "user='no-such-user', whom this system does not know"),
        ({"user": -1}, "user=-1, whom this system does not know"),
        ({"user": "a\0b"}, "whom this system does not know"),
        ({"group": "a\0b"}, "which this system does not know"),
        ({"group": "no-such-group"}, "the group 'no-such-group', which this system does not know"),
        ({"groups": [1.5]}, r"the group 1\.5, which this system does not know"),
        ({"working_directory": "a\0b"}, "no program can be given"),
        ({"working_directory": "\ud800"}, "no program can be given"),
        ({"args": ["\ud800"]}, "no program can be given"),
        ({"env": {"SECRET": "hush\ud800"}}, "no program can be given"),
    ],
)
async def test_a_request_out_of_range_is_refused(
    provider: ProcessProvider, footprint: Callable[[], object], wrong: dict[str, object], said: str
) -> None:
    before = footprint()
    with pytest.raises(InvalidRequestError, match=said) as caught:
        await provider.create("process.local", **{"command": "true", **wrong})

    assert "hush" not in str(caught.value)
    assert footprint() == before
    assert provider.ledger.statistics().held == 0


async def test_a_command_that_does_not_exist_is_said_to_be_missing_on_path(provider: ProcessProvider) -> None:
    with pytest.raises(ResourceUnavailableError) as caught:
        await provider.create_local_process("p", "no-such-command")

    assert "'no-such-command': it was not found on PATH" in caught.value.problem
    assert "Install it" in caught.value.remedy
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_the_path_searched_is_that_of_the_child(provider: ProcessProvider, tmp_path: Path) -> None:
    script = tmp_path / "mine"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)

    process = await provider.create_local_process("p", "mine", env={"PATH": str(tmp_path)})

    assert (await process.output()).stdout == b"ran\n"
    with pytest.raises(ResourceUnavailableError, match="'true': it was not found on PATH"):
        await provider.create_local_process("p", "true", env={"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        (0o644, "#!/bin/sh\n", "it is not executable"),
        (0o755, "no first line", "Exec format error"),
        (0o755, "#!/no/such/interpreter\n", "No such file or directory"),
        (None, "", "there is no such file"),
    ],
)
async def test_a_file_that_cannot_be_run_is_refused_with_the_reason(
    provider: ProcessProvider, tmp_path: Path, mode: int | None, content: str, said: str
) -> None:
    path = tmp_path / "program"
    if mode is not None:
        path.write_text(content)
        path.chmod(mode)

    with pytest.raises(ResourceUnavailableError, match=said):
        await provider.create_local_process("p", str(path))


async def test_a_directory_is_no_program(provider: ProcessProvider, tmp_path: Path) -> None:
    with pytest.raises(ResourceUnavailableError, match="it is a directory"):
        await provider.create_local_process("p", str(tmp_path))


async def test_a_working_directory_must_exist(provider: ProcessProvider, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")

    with pytest.raises(ResourceUnavailableError, match=f"working_directory='{missing}'"):
        await provider.create_local_process("p", "true", working_directory=missing)


async def test_a_relative_path_starts_at_the_working_directory(provider: ProcessProvider, tmp_path: Path) -> None:
    script = tmp_path / "mine"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)

    process = await provider.create_local_process("p", "./mine", working_directory=str(tmp_path))

    assert (await process.output()).stdout == b"ran\n"


async def test_only_listed_commands_are_run_however_they_are_spelt(tmp_path: Path) -> None:
    false_friend = tmp_path / "true"
    false_friend.write_text("#!/bin/sh\necho got around\n")
    false_friend.chmod(0o755)
    provider = ProcessProvider(ProcessSettings(allowed_commands=["true"]))
    await provider.initialize()

    assert await (await provider.create_local_process("p", "true")).wait() == 0
    for command, env, directory in [
        ("false", None, None),
        ("no-such-command", None, None),
        (str(false_friend), None, None),
        ("./true", None, str(tmp_path)),
        ("true", {"PATH": str(tmp_path)}, None),
        ("true", {"PATH": os.curdir}, str(tmp_path)),
    ]:
        with pytest.raises(PolicyError, match=r"plugins\.process\.allowed_commands allows true"):
            await provider.create_local_process("p", command, env=env, working_directory=directory)
    await provider.cleanup()


async def test_a_shell_must_be_listed_like_any_command(tmp_path: Path) -> None:
    strict = ProcessProvider(ProcessSettings(allowed_commands=["true"]))
    generous = ProcessProvider(ProcessSettings(allowed_commands=["true", "/bin/sh"]))
    for provider in (strict, generous):
        await provider.initialize()

    with pytest.raises(PolicyError, match=r"may not run '/bin/sh'; plugins\.process\.allowed_commands allows true"):
        await strict.create_local_process("p", "true", shell=True)
    child = await generous.create_local_process("p", "echo ran", shell=True)
    assert (await child.output()).stdout == b"ran\n"
    with pytest.raises(PolicyError):
        await generous.create_local_process("p", "false")
    async with await generous.create_local_process("p", "true", nice=1):
        pass  # the list is about what is run in the end
    for provider in (strict, generous):
        await provider.cleanup()


async def test_a_shell_reads_the_command_and_not_the_arguments(provider: ProcessProvider) -> None:
    child = await provider.create_local_process("p", 'echo "$2" $((1 + 1)); exit 3', shell=True, args=["a", "$HOME; b"])

    assert ((await child.output()).stdout, child.returncode) == (b"$HOME; b 2\n", 3)
    assert child.cause == "exit 3"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may choose the user")
@pytest.mark.parametrize("gated", [{}, {"nice": 1}], ids=["plain", "gated"])
async def test_a_child_runs_as_the_user_with_that_users_groups(
    provider: ProcessProvider, gated: dict[str, Any]
) -> None:
    async def groups(**who: Any) -> list[bytes]:
        async with await provider.create_local_process("p", "id -u; id -g; id -G", shell=True, **who, **gated) as child:
            return (await child.output()).stdout.split(b"\n")[:3]

    assert await groups(user="nobody") == [b"65534", b"65534", b"65534"]
    assert await groups(user=65534, group="daemon", groups=["sys", 2]) == [b"65534", b"1", b"1 2 3"]
    assert await groups(group=1) == [b"0", b"1", b"1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_whoever_is_not_root_cannot_choose_the_user(provider: ProcessProvider) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(ResourceUnavailableError, match="runs as user 65534, and only root"):
            await provider.create_local_process("p", "true", user="daemon")
    finally:
        os.seteuid(0)
