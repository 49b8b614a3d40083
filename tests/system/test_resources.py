"""`framework resources`: who holds what, seen from another process, and given back from there."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Start = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("keeper")
SCRIPT = os.path.join(os.path.dirname(sys.executable), "framework")
COLUMNS = ["process", "program", "state", "kind", "name", "owner", "size", "age", "verbs"]

HOLDS = """
import asyncio
from framework import Framework

async def main():
    async with Framework.from_config(owner={owner!r}) as host:
        held = [await host.acquire(kind, **parameters) for kind, parameters in {requests!r}]
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
ALL: list[tuple[str, dict[str, object]]] = [
    ("keeper.file", {"name": "frames", "size": 4096}),
    ("keeper.tree", {"name": "folder"}),
    ("keeper.child", {"name": "worker"}),
    ("keeper.own", {"name": "special"}),
    ("keeper.bare", {"name": "bare"}),
]


def holding(application: Start, owner: str = "shop", requests: Any = ALL) -> Any:
    one = application(HOLDS.format(owner=owner, requests=requests))
    one.says("ready")
    return one


def killed(application: Start, owner: str = "shop", requests: Any = ALL) -> Any:
    one = holding(application, owner, requests)
    assert one.kill() == -signal.SIGKILL
    return one


def good(done: Done) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rows(program: Program, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(good(program("resources", *arguments, "-o", "json")))
    return found


def names(program: Program, *arguments: str) -> list[str]:
    return sorted(one["name"] for one in rows(program, "list", *arguments))


def left(home: Path) -> set[str]:
    return {one.name for one in home.iterdir() if re.match(r"(file|tree|own)-", one.name)}


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def worker(one: dict[str, Any]) -> int:
    """Return the number of the process whose environment carries what the journal says."""
    (token,) = [each.removeprefix("kill ") for each in one["targets"]]
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            found = Path(f"/proc/{number}/environ").read_bytes()
        except OSError:
            continue
        if token.encode() in found:
            return int(number)
    raise AssertionError("there is no such process")


def test_a_running_and_a_killed_application_are_listed_from_another_process(
    application: Start, program: Program
) -> None:
    running, dead = holding(application, "alive"), killed(application, "gone", ALL[:1])

    listed = rows(program, "list")

    assert [(one["process"], one["state"], one["kind"], one["name"], one["owner"], one["verbs"]) for one in listed] == [
        *sorted(
            [
                (running.pid, "live", "keeper.file", "frames", "alive", ["unlink"]),
                (running.pid, "live", "keeper.tree", "folder", "alive", ["rmtree"]),
                (running.pid, "live", "keeper.child", "worker", "alive", ["kill"]),
                (running.pid, "live", "keeper.own", "special", "alive", ["provider"]),
                (dead.pid, "dead", "keeper.file", "frames", "gone", ["unlink"]),
            ],
            key=lambda one: int(one[0]),
        )
    ]
    assert {(one["program"], one["held"], one["attempts"], one["reason"]) for one in listed} == {
        ("app.py", True, 0, "")
    }
    assert {one["size"] for one in listed} == {0, 4096}
    assert all(one["age"] >= 0 for one in listed)
    head, *table = good(program("resources", "list")).splitlines()
    assert head.split() == [one.upper() for one in COLUMNS]
    assert len(table) == 5


def test_the_list_reads_back_equal_in_every_format(application: Start, program: Program) -> None:
    killed(application)

    def aged(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**one, "age": None} for one in found]

    listed = aged(rows(program, "list"))
    assert aged(yaml.safe_load(good(program("resources", "list", "-o", "yaml")))) == listed
    lines = good(program("resources", "list", "-o", "ndjson")).splitlines()
    assert aged([json.loads(line) for line in lines]) == listed


def test_every_option_chooses(application: Start, program: Program) -> None:
    running, dead = (
        holding(application, "alive", ALL[:2]),
        killed(application, "gone", [("keeper.tree", {"name": "x"})]),
    )

    assert names(program) == ["folder", "frames", "x"]
    assert names(program, "--owner", "a*") == ["folder", "frames"]
    assert names(program, "--kind", "*.tree") == ["folder", "x"]
    assert names(program, "--kind", "keeper.file", "--kind", "keeper.tree", "--owner", "gone") == ["x"]
    assert names(program, "--pid", str(running.pid)) == ["folder", "frames"]
    assert names(program, "--program", "app*", "--state", "dead") == ["x"]
    assert names(program, "--program", "other.py") == []
    assert names(program, "--state", "live", "--state", "dead") == ["folder", "frames", "x"]
    assert names(program, "--older-than", "0") == ["folder", "frames", "x"]
    assert names(program, "--older-than", "1d12h") == []
    assert names(program, "--pid", str(dead.pid), "--state", "live") == []


def test_one_lease_is_shown_with_all_that_is_known_of_it(application: Start, program: Program, home: Path) -> None:
    one = holding(application, requests=ALL[:1])
    (file,) = left(home)

    (listed,) = rows(program, "list")
    shown = json.loads(good(program("resources", "show", "frames", "-o", "json")))

    assert shown["targets"] == [f"unlink {os.path.realpath(home)}/{file}"]
    assert shown["id"] == listed["id"]
    assert shown["id"].startswith(f"{one.pid}:")
    for key in ("process", "program", "state", "kind", "name", "owner", "size", "held", "attempts", "journal"):
        assert shown[key] == listed[key], key
    table = good(program("resources", "show", shown["id"]))
    assert f"unlink {os.path.realpath(home)}/{file}" in table


def test_of_several_leases_with_one_name_the_options_choose(application: Start, program: Program) -> None:
    first, second = holding(application, "one", ALL[:1]), holding(application, "two", ALL[:1])

    done = program("resources", "show", "frames")

    assert (done.returncode, done.stdout) == (2, "")
    assert "2 leases are called 'frames'" in done.stderr
    assert f"{first.pid}:" in done.stderr
    assert f"{second.pid}:" in done.stderr
    shown = json.loads(good(program("resources", "show", "frames", "--owner", "two", "-o", "json")))
    assert shown["process"] == second.pid
    done = program("resources", "show", "frame")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Did you mean 'frames'?" in done.stderr


def test_what_a_killed_process_left_is_planned_and_then_given_back(
    application: Start, program: Program, home: Path
) -> None:
    dead = killed(application)
    child = worker(json.loads(good(program("resources", "show", "worker", "-o", "json"))))
    before = left(home)
    assert len(before) == 3

    planned = rows(program, "reclaim", "--dry-run")
    assert {one["outcome"] for one in planned} == {"planned"}
    assert (left(home), alive(child)) == (before, True)

    done = rows(program, "reclaim")
    assert sorted((one["outcome"], one["name"], one["process"]) for one in done) == [
        ("reclaimed", name, dead.pid) for name in ("folder", "frames", "special", "worker")
    ]
    assert (left(home), alive(child)) == (set(), False)
    assert rows(program, "list") == []
    assert rows(program, "reclaim") == []


def test_what_a_living_process_holds_is_left_to_it(application: Start, program: Program, home: Path) -> None:
    holding(application)
    before = left(home)

    assert rows(program, "reclaim") == []
    assert left(home) == before


def test_what_cannot_be_given_back_is_left_for_now_until_somebody_asks_again(
    application: Start, program: Program, home: Path
) -> None:
    killed(application, requests=[("keeper.own", {"name": "special"}), ("keeper.file", {"name": "frames"})])
    (home / "stuck").touch()

    for attempt in (1, 2, 3):
        done = program("resources", "reclaim", "-o", "json")
        assert done.returncode == 3
        (failed,) = [one for one in json.loads(done.stdout) if one["outcome"] != "reclaimed"]
        assert failed["outcome"] == "failed"
        assert "it is stuck" in failed["reason"]
        (listed,) = rows(program, "list")
        assert (listed["attempts"], listed["name"]) == (attempt, "special")
    assert "it is stuck" in good(program("resources", "list"))

    (home / "stuck").unlink()
    tried_at_the_start = application(HOLDS.format(owner="next", requests=[]))
    tried_at_the_start.says("ready")
    assert names(program) == ["special"]

    (done_at_last,) = rows(program, "reclaim")
    assert (done_at_last["outcome"], left(home)) == ("reclaimed", set())


def test_without_the_plugin_what_only_it_can_give_back_is_left(
    application: Start, program: Program, home: Path
) -> None:
    killed(application)
    (home / "framework.yaml").write_text("plugins: {}\n")

    done = program("resources", "reclaim", "-o", "json")

    assert done.returncode == 3
    (kept,) = [one for one in json.loads(done.stdout) if one["outcome"] != "reclaimed"]
    assert (kept["outcome"], kept["name"]) == ("skipped", "special")
    assert "keeper.own" in kept["reason"]
    assert left(home) == {"own-special"}


def test_two_reclaimers_at_once_give_everything_back_once(
    application: Start, program: Program, home: Path, environment: dict[str, str]
) -> None:
    environment["FRAMEWORK__LEASES__RECLAIM"] = "false"  # or each application would reclaim what the former one left
    for number in range(4):
        killed(application, f"shop-{number}", ALL[:3])
    command = [SCRIPT, "resources", "reclaim", "-o", "json"]
    options: dict[str, Any] = {"cwd": home, "env": environment, "stdout": subprocess.PIPE, "text": True}

    both = [subprocess.Popen(command, **options) for _ in range(2)]
    outputs = [one.communicate(timeout=60)[0] for one in both]

    assert [one.returncode for one in both] == [0, 0]
    outcomes = [one for text in outputs for one in json.loads(text)]
    assert sorted((one["owner"], one["name"]) for one in outcomes) == sorted(
        (f"shop-{number}", name) for number in range(4) for name in ("frames", "folder", "worker")
    )
    assert (left(home), rows(program, "list")) == (set(), [])


def test_a_watch_prints_look_after_look_and_ends_by_itself(application: Start, program: Program) -> None:
    holding(application, requests=ALL[:2])
    watch = ("resources", "watch", "--interval", "0.01", "--count", "2", "--kind", "keeper.file")

    text = good(program(*watch))
    assert text.count("  leases: 1\n") == 2
    assert text.count("frames") == 2
    assert "\x1b" not in text
    lines = [json.loads(line) for line in good(program(*watch, "-o", "ndjson")).splitlines()]
    assert [one["name"] for one in lines] == ["frames", "frames"]
    assert all(one["at"] for one in lines)
    looks = list(yaml.safe_load_all(good(program(*watch, "-o", "yaml"))))
    assert [[one["name"] for one in look["leases"]] for look in looks] == [["frames"], ["frames"]]


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "soon"])
def test_an_interval_that_is_none_is_refused(program: Program, interval: str) -> None:
    done = program("resources", "watch", "--interval", interval)
    assert done.returncode == 2
    assert "Invalid value for '--interval'" in done.stderr


def test_a_watch_ends_with_130_when_it_is_interrupted(home: Path, environment: dict[str, str]) -> None:
    command = [SCRIPT, "resources", "watch", "--interval", "600"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=home, env=environment, **options) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().endswith("leases: 0\n")
        watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=60)

    assert (watch.returncode, said) == (130, "\nframework: interrupted\n")


def test_a_terminal_shows_the_latest_look_only(home: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    command = [SCRIPT, "resources", "watch", "--interval", "0.01", "--count", "2"]
    with subprocess.Popen(command, cwd=home, env={**environment, "TERM": "xterm"}, stdout=theirs) as watch:
        os.close(theirs)
        text = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)

    assert watch.returncode == 0
    assert text.count(b"\x1b[2J") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("list", "--state", "asleep"), 2, "'asleep' is not one of 'live', 'dead', 'damaged'"),
        (("list", "--older-than", "soon"), 2, "'soon'; allowed: seconds, or numbers with s, m, h or d"),
        (("list", "--older-than", "-5"), 2, "allowed: seconds"),
        (("list", "--pid", "app.py"), 2, "'app.py' is not a valid integer"),
        (("watch", "--interval", "0"), 2, "0"),
        (("watch", "--count", "0"), 2, "0"),
        (("show",), 2, "Missing argument"),
        (("show", "nothing"), 3, "No lease among the 0 that were looked at is called 'nothing'"),
        (("reclame",), 2, "Did you mean 'reclaim'?"),
    ],
)
def test_a_mistake_is_answered_with_what_is_allowed(
    program: Program, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = program("resources", *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def journals(environment: dict[str, str], home: Path) -> Path:
    """Make the directory of journals, in a place of this test's own, and return it."""
    environment["XDG_STATE_HOME"] = str(home / "state")
    place = home / "state" / "framework" / "leases"
    place.mkdir(parents=True, mode=0o700)
    return place


@pytest.mark.parametrize("verb", ["list", "reclaim", "watch", "show"])
def test_where_journals_cannot_be_read_it_is_said(
    program: Program, environment: dict[str, str], home: Path, verb: str
) -> None:
    place = journals(environment, home)
    arguments = ("resources", verb, *(["x"] if verb == "show" else []))

    place.chmod(0o777)
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (7, "")
    assert "has mode 777; allowed: user" in done.stderr

    place.rmdir()
    place.touch()
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"The journals of leases in '{place}' cannot be read: not a directory." in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_not_read(program: Program, environment: dict[str, str], home: Path) -> None:
    place = journals(environment, home)
    os.chown(place, 12345, 12345)

    done = program("resources", "list")

    assert (done.returncode, done.stdout) == (7, "")
    assert "belongs to user 12345" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that nobody knows")
@pytest.mark.parametrize("verb", ["list", "reclaim", "watch"])
def test_without_a_home_it_is_said_what_to_set(environment: dict[str, str], verb: str) -> None:
    # imported before, because such a user may not be able to read it
    code = (
        "import os, platformdirs.unix, framework.cli, difflib\n"
        f"import framework.cli.resources.{verb.replace('list', 'list_')}, framework.settings, yaml, logging\n"
        "os.setuid(54321)\n"
        f"framework.cli.main(['resources', '{verb}'])\n"
    )
    changed = {key: value for key, value in environment.items() if not key.startswith(("HOME", "XDG"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd="/", env=changed, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (3, "")
    assert "Set XDG_STATE_HOME and XDG_CACHE_HOME to absolute paths." in done.stderr


def test_a_damaged_journal_is_a_row_and_left_for_a_person(
    program: Program, environment: dict[str, str], home: Path
) -> None:
    place = journals(environment, home)
    (place / "1-x.journal").write_bytes(b"nonsense" * 100)
    (place / "2-x.journal").symlink_to("/etc/passwd")
    (place / "1-x.journal").chmod(0o600)

    listed = rows(program, "list")

    assert [(one["state"], one["process"], os.path.basename(one["journal"])) for one in listed] == [
        ("damaged", None, "1-x.journal"),
        ("damaged", None, "2-x.journal"),
    ]
    assert "it does not say whose it is" in listed[0]["reason"]
    assert "not a plain file" in listed[1]["reason"]
    assert str(place / "1-x.journal") in good(program("resources", "list"))
    assert len(rows(program, "list", "--state", "damaged")) == 2
    assert rows(program, "list", "--older-than", "1s") == []
    done = program("resources", "reclaim")
    assert done.returncode == 3
    assert "remove it by hand" in done.stdout
    assert len(list(place.iterdir())) == 2


def test_of_a_journal_with_a_damaged_record_the_rest_is_shown_and_reclaimed(
    application: Start, program: Program, environment: dict[str, str], home: Path
) -> None:
    journals(environment, home)
    killed(application, requests=ALL[:2])
    (file,) = (home / "state" / "framework" / "leases").iterdir()
    content = bytearray(file.read_bytes())
    content[content.index(b"frames")] ^= 1
    file.write_bytes(bytes(content))

    assert [(one["state"], one["name"]) for one in rows(program, "list")] == [("damaged", ""), ("dead", "folder")]
    assert [one["outcome"] for one in rows(program, "reclaim")] == ["reclaimed"]
