"""`framework plugins why`, `graph` and `order`, run as users run them; no plugin is imported by any."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.cli.plugins import graph
from framework.cli.plugins._relations import KINDS, Relation

Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
Install = Callable[..., Path]

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
EXPLOSIVE = "raise RuntimeError('imported')\n"

PLUGINS = {
    "app": 'requires = ["index"]',
    "index": 'requires = ["store.rows>=2"]',
    "store": 'requires = ["nowhere"]\n[provides]\nkinds = ["store.rows"]',
    "base": 'before = ["view"]\n[provides]\nkinds = ["base.thing"]',
    "view": 'requires = ["base.thing>=1"]\noptional = ["late", "nowhere", "off"]',
    "late": 'after = ["base"]',
    "early": 'before = ["late"]',
    "cat": 'conflicts = ["dog"]',
    "dog": "",
    "left": 'requires = ["right"]',
    "right": 'requires = ["left"]',
    "wants": 'requires = ["off"]',
    "picky": 'requires = ["base>=9"]',
    "off": "",
}


def good(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def landscape(site: Path, home: Path, install: Install) -> None:
    """Plugins that all explode when imported, in every relation to each other; all but `off` enabled."""
    for name, extra in PLUGINS.items():
        install(site, name, EXPLOSIVE, extra=extra, version="2.0")
    enabled: dict[str, None] = {name: None for name in PLUGINS if name != "off"}
    (home / "framework.yaml").write_text(yaml.safe_dump({"plugins": enabled}))


CHAIN = [
    "1. Plugin 'app' requires 'index', which is blocked.",
    "2. Plugin 'index' requires 'store.rows', which plugin 'store' provides, which is blocked.",
    "3. Plugin 'store' requires 'nowhere', which no installed plugin is called or provides.",
    "Way out: Install a plugin that is called or provides 'nowhere', or disable 'store'.",
]


@pytest.mark.usefixtures("landscape")
def test_a_broken_chain_is_told_down_to_its_root(program: Program) -> None:
    done = program("plugins", "why", "app")
    assert good(done).splitlines() == ["Plugin 'app' 2.0 is blocked.", *CHAIN]
    assert done.stderr == ""
    told = json.loads(good(program("plugins", "why", "app", "-o", "json")))
    assert [(one["plugin"], one["requirement"], one["cause"], one["others"]) for one in told["reasons"]] == [
        ("app", "index", "blocked", ["index"]),
        ("index", "store.rows>=2", "blocked", ["store"]),
        ("store", "nowhere", "missing", []),
    ]
    assert (told["state"], told["layer"], told["needs"], told["needed_by"]) == ("blocked", None, [], [])
    assert yaml.safe_load(good(program("plugins", "why", "app", "-o", "yaml"))) == told
    assert json.loads(good(program("plugins", "why", "app", "-o", "ndjson"))) == told


@pytest.mark.usefixtures("landscape")
def test_of_a_plugin_that_can_run_its_needs_and_its_dependants_are_told(program: Program) -> None:
    assert good(program("plugins", "why", "view")).splitlines() == [
        "Plugin 'view' 2.0 is discovered, and can start, in layer 3.",
        "It requires 'base.thing>=1', which plugin 'base' meets.",
        "It would like 'late'.",
        "No other plugin needs it.",
    ]
    assert good(program("plugins", "why", "base")).splitlines()[1:] == [
        "It needs no other plugin.",
        "Plugin 'view' requires it, as 'base.thing>=1'.",
    ]
    told = json.loads(good(program("plugins", "why", "base", "-o", "json")))
    assert told["needed_by"] == [{"plugin": "view", "kind": "requires", "requirement": "base.thing>=1"}]
    assert (told["layer"], told["reasons"], told["way_out"]) == (1, [], "")


@pytest.mark.parametrize(
    ("name", "reason", "way_out"),
    [
        (
            "dog",
            "1. Plugin 'dog' conflicts with plugin 'cat'; only one of them can be enabled.",
            "Disable 'dog', or else",
        ),
        ("left", "1. Plugin 'left' is part of the cycle of requirements left -> right -> left.", "Install another"),
        ("wants", "1. Plugin 'wants' requires 'off', but that plugin is disabled.", "`framework plugins enable off`"),
        (
            "picky",
            "1. Plugin 'picky' requires 'base>=9', but found is base 2.0.",
            "a version of 'base' that fits 'base>=9'",
        ),
        ("off", "1. Plugin 'off' is not enabled by the configuration.", "`framework plugins enable off`"),
    ],
)
@pytest.mark.usefixtures("landscape")
def test_every_other_cause_is_told_with_its_way_out(program: Program, name: str, reason: str, way_out: str) -> None:
    _, told, out = good(program("plugins", "why", name)).splitlines()
    assert told == reason
    assert out.startswith("Way out: ")
    assert way_out in out


def test_of_a_broken_plugin_and_what_requires_it_the_breakage_is_told(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    install(site, "torn", manifest="name = ")
    install(site, "user", extra='requires = ["torn"]')
    (home / "framework.yaml").write_text("plugins: {torn: {}, user: {}, absent: {}, usre: {}}")
    assert "is not TOML" in good(program("plugins", "why", "torn"))
    lines = good(program("plugins", "why", "user")).splitlines()
    assert "but that plugin is broken: The manifest" in lines[1]
    assert lines[-1] == "Way out: Repair 'torn', or disable 'user'."
    assert "1. Plugin 'absent' is enabled, but not installed.\n" in good(program("plugins", "why", "absent"))
    misspelt = good(program("plugins", "why", "usre"))
    assert misspelt.endswith("1. Plugin 'usre' is enabled, but not installed. Did you mean 'user'?\n")


@pytest.mark.usefixtures("landscape")
def test_in_safe_mode_a_strangers_plugin_is_off_and_the_way_out_is_to_leave_it(program: Program) -> None:
    lines = good(program("--set", "safe_mode=true", "plugins", "why", "base")).splitlines()
    assert lines[-1] == "Way out: Start without --safe-mode."


@pytest.mark.usefixtures("landscape")
@pytest.mark.parametrize(
    ("name", "says"),
    [("vieww", "Did you mean 'view'?"), ("base.thing", "plugin 'base' provides it. Ask `framework plugins why base`.")],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_the_provider(program: Program, name: str, says: str) -> None:
    done = program("plugins", "why", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"No plugin is called {name!r}" in done.stderr
    assert says in done.stderr


@pytest.mark.usefixtures("landscape")
def test_the_order_has_layers_and_a_reason_for_each_place(program: Program) -> None:
    done = program("plugins", "order", "-o", "json")
    rows = json.loads(good(done))
    assert [(one["position"], one["layer"], one["name"], one["reason"]) for one in rows] == [
        (1, 1, "base", "waits for nobody"),
        (2, 1, "early", "waits for nobody"),
        (3, 2, "late", "early is before; after base"),
        (4, 3, "view", "base is before; requires base.thing>=1 of base; optional late"),
    ]
    assert rows[2]["waits_for"] == [
        {"plugin": "early", "kind": "before", "requirement": "late"},
        {"plugin": "base", "kind": "after", "requirement": "base"},
    ]
    assert "without a place: app, cat, dog, index, left, picky, right, store, wants." in done.stderr
    table = good(program("plugins", "order")).splitlines()
    assert table[0].split() == ["POSITION", "LAYER", "NAME", "REASON"]
    assert table[3].split(maxsplit=3) == ["3", "2", "late", "early is before; after base"]


def nodes_and_edges(program: Program) -> tuple[list[Any], list[Any]]:
    data = json.loads(good(program("plugins", "graph", "-o", "json")))
    assert data.keys() == {"nodes", "edges"}
    return data["nodes"], data["edges"]


@pytest.mark.usefixtures("landscape")
def test_the_graph_has_every_relation_and_marks_what_cannot_start(program: Program) -> None:
    nodes, edges = nodes_and_edges(program)
    states = {one["name"]: one["state"] for one in nodes}
    assert states.keys() == PLUGINS.keys() | {"nowhere"}
    assert {name for name, state in states.items() if state == "discovered"} == {"base", "early", "late", "view"}
    assert (states["off"], states["nowhere"], states["cat"]) == ("disabled", "missing", "blocked")
    found = {(one["plugin"], one["kind"], one["other"], one["in_force"]) for one in edges}
    assert found == {
        ("app", "requires", "index", False),
        ("index", "requires", "store", False),
        ("store", "requires", "nowhere", False),
        ("base", "before", "view", True),
        ("view", "requires", "base", True),
        ("view", "optional", "late", True),
        ("view", "optional", "off", False),
        ("late", "after", "base", True),
        ("early", "before", "late", True),
        ("cat", "conflicts", "dog", True),
        ("left", "requires", "right", False),
        ("right", "requires", "left", False),
        ("wants", "requires", "off", False),
        ("picky", "requires", "base", False),
    }
    assert all(one["state"] == "discovered" for one in nodes if one["layer"] is not None)


@pytest.mark.usefixtures("landscape")
def test_the_drawing_for_people_goes_layer_by_layer(program: Program) -> None:
    lines = good(program("plugins", "graph")).splitlines()
    assert lines[:11] == [
        "layer 1",
        "  base",
        "    before view",
        "  early",
        "    before late",
        "layer 2",
        "  late",
        "    after base",
        "layer 3",
        "  view",
        "    requires base.thing>=1 of base",
    ]
    rest = lines[lines.index("cannot start") :]
    assert "    requires store.rows>=2 of store (blocked) (not met)" in rest
    assert "    requires nowhere (missing) (not met)" in rest
    assert good(program("plugins", "graph", "--format", "text")).splitlines() == lines


@pytest.mark.usefixtures("landscape")
@pytest.mark.parametrize("drawing", ["mermaid", "dot"])
def test_a_drawing_read_back_has_the_same_nodes_and_edges(program: Program, drawing: str) -> None:
    nodes, edges = nodes_and_edges(program)
    read = {"mermaid": read_mermaid, "dot": read_dot}[drawing]
    labels, arrows, stuck = read(good(program("plugins", "graph", "--format", drawing)).splitlines())
    assert sorted(label.split(" (")[0] for label in labels.values()) == [one["name"] for one in nodes]
    assert {labels[one].split(" (")[0] for one in stuck} == {one["name"] for one in nodes if one["layer"] is None}
    drawn = sorted((labels[a].split(" (")[0], label.split()[0], labels[b].split(" (")[0]) for a, label, b in arrows)
    assert drawn == sorted((one["plugin"], one["kind"], one["other"]) for one in edges)


@pytest.mark.usefixtures("landscape")
def test_a_drawing_cannot_be_had_as_data(program: Program) -> None:
    done = program("plugins", "graph", "--format", "dot", "-o", "json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--format dot and -o json exclude each other" in done.stderr


def test_without_any_plugin_there_is_an_empty_graph_and_order(program: Program, home: Path) -> None:
    (home / "framework.yaml").write_text("plugins: {}")
    assert nodes_and_edges(program) == ([], [])
    assert json.loads(good(program("plugins", "order", "-o", "json"))) == []
    assert good(program("plugins", "graph")) == ""
    assert good(program("plugins", "graph", "--format", "mermaid")) == "flowchart LR\n"
    assert good(program("plugins", "graph", "--format", "dot")) == "digraph plugins {\n  rankdir=LR;\n}\n"


Drawn = tuple[dict[str, str], list[tuple[str, str, str]], set[str]]


def matched(pattern: str, line: str) -> tuple[str, ...] | None:
    match = re.fullmatch(pattern, line)
    return match and match.groups()


def read_mermaid(lines: list[str]) -> Drawn:
    """Read a flow chart by a grammar that allows only what Mermaid cannot misunderstand."""
    safe = r'"((?:[A-Za-z0-9 _.,()-]|#\d+;)*)"'
    labels: dict[str, str] = {}
    arrows: list[tuple[str, str, str]] = []
    stuck: set[str] = set()

    def plain(label: str) -> str:
        return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)

    assert lines[0] == "flowchart LR"
    for line in lines[1:]:
        if node := matched(rf"  (n\d+)\[{safe}\]", line):
            labels[node[0]] = plain(node[1])
        elif edge := matched(rf"  (n\d+) (?:-->|-\.->|x--x)\|{safe}\| (n\d+)", line):
            arrows.append((edge[0], plain(edge[1]), edge[2]))
        elif members := matched(r"  class ((?:n\d+)(?:,n\d+)*) blocked", line):
            stuck |= set(members[0].split(","))
        else:
            assert line == "  classDef blocked stroke:#c00,stroke-dasharray:4"
    assert {one for a, _, b in arrows for one in (a, b)} | stuck <= labels.keys()
    return labels, arrows, stuck


def read_dot(lines: list[str]) -> Drawn:
    """Read a graph by the part of the DOT grammar that is used, with its rules for strings and labels."""
    string = r'"((?:[^"\\\n]|\\["\\])*)"'
    labels: dict[str, str] = {}
    arrows: list[tuple[str, str, str]] = []
    stuck: set[str] = set()

    def plain(label: str) -> str:
        assert not re.search(r"&(?!amp;)", label)
        return html.unescape(re.sub(r"\\(.)", r"\1", label))

    assert (lines[0], lines[1], lines[-1]) == ("digraph plugins {", "  rankdir=LR;", "}")
    for line in lines[2:-1]:
        if node := matched(rf"  (n\d+) \[label={string}(, style=dashed, color=red)?\];", line):
            labels[node[0]] = plain(node[1])
            stuck |= {node[0]} if node[2] else set()
        else:
            edge = matched(rf"  (n\d+) -> (n\d+) \[label={string}, style=(?:\w+)(?:, dir=none)?\];", line)
            assert edge, line
            arrows.append((edge[0], plain(edge[2]), edge[1]))
    assert {one for a, _, b in arrows for one in (a, b)} <= labels.keys()
    return labels, arrows, stuck


NASTY = [
    '"]; n9 --> n0',
    "a\\",
    'b\\"',
    "&quot;#quot;",
    "end",
    "|pipe|",
    "<script>",
    "snow \u2603",
    "n0[x]",
    "%% comment",
    "`x`",
]


@pytest.mark.parametrize(("draw", "read"), [(graph.mermaid, read_mermaid), (graph.dot, read_dot)])
def test_no_name_breaks_out_of_a_drawing(
    draw: Callable[[list[graph.Node], list[Relation]], Any], read: Callable[[list[str]], Drawn]
) -> None:
    nodes = [graph.Node(name, "1", "blocked", 1 if number % 2 else None) for number, name in enumerate(NASTY)]
    edges = [Relation(NASTY[0], name, kind, f"{name}>=1", in_force=False) for name in NASTY for kind in KINDS]
    labels, arrows, stuck = read(list(draw(nodes, edges)))
    assert list(labels.values()) == [one.label for one in nodes]
    assert len(stuck) == (len(NASTY) + 1) // 2
    assert [label.rsplit(" (", 1)[0] for _, label, _ in arrows] == [f"{one.kind} {one.requirement}" for one in edges]


@pytest.mark.parametrize("draw", [graph.mermaid, graph.dot])
def test_a_line_break_or_an_escape_in_a_name_is_shown_not_obeyed(
    draw: Callable[[list[graph.Node], list[Relation]], Any],
) -> None:
    lines = list(draw([graph.Node("a\nb\x1b[31m", "1", "blocked", 1)], []))
    assert all(line.isprintable() for line in lines)


def test_the_page_on_resolution_shows_what_the_program_prints(
    program: Program, site: Path, home: Path, install: Install
) -> None:
    with open(os.path.join(ROOT, "docs", "explanation", "resolution.md"), encoding="utf-8") as file:
        page = file.read()
    for text in re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        name = re.search(r'^name = "(.*)"$', text, re.MULTILINE)
        assert name
        install(site, name[1], EXPLOSIVE, manifest=text)
    (configuration,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (home / "framework.yaml").write_text(configuration)
    sessions = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = [part.split("\n", 1) for text in sessions for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    assert len(commands) >= 3
    for command, shown in commands:
        assert good(program(*command.split()[1:])) == shown
