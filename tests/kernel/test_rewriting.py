"""Switching a plugin on or off changes its entry in the configuration file, and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework import documents
from framework.errors import SettingsError
from framework.rewriting import switch

LISTED = ["file", "memory"]

EDITS = {
    "nothing there": ("", "plugins:\n  file: {}\n  memory: {enabled: false}\n"),
    "no section": (
        "# mine\nlogging: {level: info}",
        "# mine\nlogging: {level: info}\nplugins:\n  file: {}\n  memory: {enabled: false}\n",
    ),
    "no entry": ("plugins:\n  file: {}  # keep\n", "plugins:\n  memory: {enabled: false}\n  file: {}  # keep\n"),
    "another indent": ("plugins:\n    file:\n", "plugins:\n    memory: {enabled: false}\n    file:\n"),
    "empty entry": ("plugins:\n  memory:\n  file: {}\n", "plugins:\n  memory: {enabled: false}\n  file: {}\n"),
    "flow entry": (
        "plugins:\n  memory: {max_bytes: 5}  # why\n",
        "plugins:\n  memory: {max_bytes: 5, enabled: false}  # why\n",
    ),
    "flow flag": (
        "plugins:\n  memory: {enabled: true, max_bytes: 5}\n",
        "plugins:\n  memory: {max_bytes: 5, enabled: false}\n",
    ),
    "block entry": (
        "plugins:\n  memory:\n    max_bytes: 5 # five\n  file:\n",
        "plugins:\n  memory:\n    enabled: false\n    max_bytes: 5 # five\n  file:\n",
    ),
    "block flag": (
        "plugins:\n  memory:\n    max_bytes: 5\n    enabled: true # on\n",
        "plugins:\n  memory:\n    max_bytes: 5\n    enabled: false # on\n",
    ),
    "comments between": (
        "plugins:  # all of them\n\n  # first\n  file: {}\nlogging: {}\n",
        "plugins:  # all of them\n  memory: {enabled: false}\n\n  # first\n  file: {}\nlogging: {}\n",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_yaml_keeps_every_other_line(case: str, tmp_path: Path) -> None:
    before, after = EDITS[case]
    file = tmp_path / "framework.yaml"
    if before:
        file.write_text(before)

    switch(str(file), "memory", enabled=False, listed=LISTED)

    assert file.read_text() == after
    assert [one.name for one in tmp_path.iterdir()] == ["framework.yaml"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "\n[plugins.file]\n\n[plugins.memory]\nenabled = false\n"),
        ("[plugins.file]\n", "[plugins.file]\n\n[plugins.memory]\nenabled = false\n"),
        ("[plugins.memory] # x\nmax_bytes = 5\n", "[plugins.memory] # x\nenabled = false\nmax_bytes = 5\n"),
        (
            "[plugins.memory]\nenabled = true\n\n[plugins.file]\n",
            "[plugins.memory]\nenabled = false\n\n[plugins.file]\n",
        ),
    ],
)
def test_toml_keeps_every_other_line(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "framework.toml"
    file.write_text(before)

    switch(str(file), "memory", enabled=False, listed=LISTED)

    assert file.read_text() == after


@pytest.mark.parametrize(
    "text",
    [
        "plugins: {memory: {}}\n",
        "plugins:\n  memory: &a\n    x: 1\n  file: *a\n",
        "plugins:\n  memory: {x: {y: 1}}\n",
        "{plugins: {}}\n",
        "plugins:\n  memory: |\n    enabled: true\n",
    ],
)
def test_what_cannot_be_edited_safely_is_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "framework.yaml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=r"enabled: false.*plugins\.memory.*by hand|holds|memory"):
        switch(str(file), "memory", enabled=False, listed=LISTED)

    assert file.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == ["framework.yaml"]


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text("plugins: \n  memory: {}\n")
    real.chmod(0o600)
    link = tmp_path / "framework.yaml"
    link.symlink_to(real)

    switch(str(link), "memory", enabled=True, listed=LISTED)

    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert documents.read(str(real)) == {"plugins": {"memory": {"enabled": True}}}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be (written|read)"):
        switch(os.path.join(tmp_path, "nowhere", "framework.yaml"), "memory", enabled=True, listed=LISTED)


NAMES = st.sampled_from(["memory", "file", "on", "my-plugin", "null"])
VALUES = st.dictionaries(st.sampled_from(["enabled", "size", "text"]), st.sampled_from([True, False, 5]), max_size=3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sections=st.none() | st.dictionaries(NAMES, st.none() | VALUES, max_size=4),
    name=NAMES,
    enabled=st.booleans(),
    flow=st.booleans(),
)
def test_the_file_says_the_same_plus_the_change_or_stays(
    sections: dict[str, Any] | None, name: str, enabled: bool, flow: bool, tmp_path: Path
) -> None:
    before: dict[str, Any] = {"logging": {"level": "info"}}
    if sections is not None:
        before["plugins"] = sections
    file = tmp_path / "framework.yaml"
    text = yaml.safe_dump(before, default_flow_style=None if flow else False)
    file.write_text(text)
    try:
        switch(str(file), name, enabled=enabled, listed=LISTED)
    except SettingsError:
        assert file.read_text() == text
        return
    after = documents.read(str(file))
    assert after["logging"] == before["logging"]
    assert after["plugins"][name]["enabled"] is enabled
    listed = before.get("plugins", dict.fromkeys(LISTED))
    assert {key: value or {} for key, value in after["plugins"].items() if key != name} == {
        key: value or {} for key, value in listed.items() if key != name
    }


def test_of_many_who_switch_at_the_same_time_nobody_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "framework.yaml"
    path.write_text("plugins:\n  one: {}\n")
    names = [f"plugin{number}" for number in range(24)]
    ready = threading.Barrier(len(names))

    def enable(name: str) -> None:
        ready.wait()
        switch(str(path), name, enabled=True, listed=())

    threads = [threading.Thread(target=enable, args=(name,)) for name in names]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert documents.read(str(path))["plugins"].keys() == {"one", *names}
