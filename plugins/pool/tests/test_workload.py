"""Workloads as people write them, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.errors import InvalidRequestError
from plugin_pool.records import CapabilityRequirement, ResourceRequirement
from plugin_pool.simulation import Law, description, document
from plugin_pool.simulation.example import EXAMPLE, example

ENTITIES = [{"id": "e", "type": "executor"}]
PLAIN = {"requirements": "executor", "duration": {"fixed": 1}}


def described(**fields: Any) -> dict[str, Any]:
    return {"resources": ENTITIES, "streams": [{"name": "s", "arrival": {"every": 1}, **PLAIN, **fields}]}


def test_the_example_says_what_it_means() -> None:
    found = example()

    assert len(found.entities) == 20
    assert [one.id for one in found.entities][:5] == [f"all-round-{n}" for n in (1, 2, 3, 4)] + ["searcher-1"]
    assert [one.name for one in found.streams] == ["search", "code", "report", "review", "campaign"]
    shared, review, campaign = found.sources
    assert (shared.gap, shared.shares) == (Law.exponential(1 / 9.5), (5.0, 2.0, 1.0))
    assert review.streams[0].priority == 1.0
    assert review.streams[0].requirements == (
        ResourceRequirement("executor", (CapabilityRequirement("code_generation", 5),)),
        ResourceRequirement("reviewer"),
    )
    assert (campaign.gap, campaign.streams[0].requirements[0].count) == (Law.fixed(60.0), 6)
    assert found.rate == pytest.approx(9.5 + 0.3 + 1 / 60)


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    content = document.parse(EXAMPLE, "it")
    (tmp_path / "w.json").write_text(json.dumps(content, indent="\t"))
    (tmp_path / "w.yaml").write_text(EXAMPLE)

    assert document.read(str(tmp_path / "w.json")) == document.read(str(tmp_path / "w.yaml")) == content


def test_requirements_may_be_a_line_a_mapping_or_a_list_of_both() -> None:
    both = ["2*executor:web_search=5", {"type": "api", "labels": {"zone": "a"}}]
    (stream,) = description.workload(described(requirements=both)).streams

    assert [str(one) for one in stream.requirements] == ["2 executor (web_search >= 5)", "1 api (zone=a)"]


def test_without_resources_it_is_those_of_the_configuration() -> None:
    content = {"streams": described()["streams"]}

    assert [one.id for one in description.workload(content, ENTITIES).entities] == ["e"]
    with pytest.raises(InvalidRequestError, match=r"no resources, and neither has the configuration.*plugins: pool"):
        description.workload(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], r"The workload is \[\]; a mapping of resources, arrival, streams is allowed"),
        ({"resources": ENTITIES}, "The streams are None; a list is allowed"),
        ({"resources": ENTITIES, "streams": []}, "has 0 streams; 1 to 1,000"),
        ({"resources": ENTITIES, "streams": [{}] * 1001}, "has 1,001 streams"),
        ({"resources": ENTITIES, "steams": []}, r"unknown field 'steams'.*Did you mean 'streams'"),
        ({"resources": {}, "streams": []}, r"The resources are \{\}; a list"),
        ({"resources": [{"id": "e"}], "streams": [{}]}, "The type of resource 'e' is None"),
        ({"resources": [{"id": "e", "type": "t", "cuont": 2}], "streams": [{}]}, "Did you mean 'count'|unknown field"),
        ({"resources": [{"id": "e", "type": "t", "count": 0}], "streams": [{}]}, "count of a resource is 0"),
        ({"resources": [{"id": "e", "type": "t", "count": 10**9}], "streams": [{}]}, "from 1 to 100,000"),
        ({"resources": [{"id": c, "type": "t", "count": 60_000} for c in "ab"], "streams": [{}]}, "more than 100,000"),
        ({"resources": [*ENTITIES, *ENTITIES], "streams": [{}]}, "resource 'e' twice"),
        ({"resources": ["e"], "streams": [{}]}, "A resource is 'e'"),
        ({"resources": ENTITIES, "streams": ["s"]}, "Stream 1 is 's'; a mapping"),
        ({"resources": ENTITIES, "streams": described()["streams"] * 2}, "'s' is there twice"),
        ({**described(), "arrival": {"every": 1}}, "has an arrival, and no stream that has a share"),
        ({"resources": ENTITIES, "streams": [PLAIN]}, "'stream-1' has no arrival, and neither has the workload"),
    ],
)
def test_a_workload_that_cannot_be_is_refused(content: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        description.workload(content)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "all"}, "'all' is what all tasks are called"),
        ({"name": "a\x1b[31m"}, r"name of stream 1 is 'a\\x1b\[31m'"),
        ({"name": "n" * 201}, "1 to 200 printable characters"),
        ({"durations": 1}, r"unknown field 'durations'.*Did you mean 'duration'"),
        ({"share": 2}, "has an arrival and a share"),
        (
            {"arrival": {"poison": 2}},
            "has the unknown field 'poison'.*Did you mean 'poisson'",
        ),
        ({"arrival": {"poisson": 2, "every": 1}}, "has 2 fields; one of poisson, every"),
        ({"arrival": {"poisson": -2}}, r"rate of the stream 's' is -2; a number from 1e-09 to 1e\+09"),
        ({"arrival": {"poisson": 0}}, "is 0; a number from"),
        ({"arrival": {"poisson": "1e6"}}, r"is '1e6'; .* To YAML that is a text; .* as in 1\.0e\+6"),
        ({"duration": "1e-3"}, r"is '1e-3'; a number .* To YAML that is a text"),
        ({"arrival": {"poisson": 1e300}}, r"is 1e\+300; a number from"),
        ({"arrival": {"poisson": 10**300}}, "is 1000000"),
        ({"arrival": {"every": float("nan")}}, "is nan; a number from"),
        ({"arrival": {"every": float("inf")}}, "is inf; a number from"),
        ({"arrival": {"every": True}}, "is True; a number from"),
        ({"arrival": 5}, "arrival of the stream 's' is 5; a mapping of poisson, every"),
        ({"duration": None}, "duration of the stream 's' is missing"),
        ({"duration": {"uniform": [3, 1]}}, "is from 3 to 1, which is less"),
        ({"duration": {"uniform": 3}}, "is uniform in 3; two times"),
        ({"duration": {"exponential": "long"}}, "is 'long'; a number"),
        ({"duration": -1}, "is -1; a number from"),
        ({"priority": "high"}, "priority of the stream 's' is 'high'"),
        ({"priority": float("nan")}, "is nan; a number from"),
        ({"requirements": None}, "stream 's' has no requirements"),
        ({"requirements": []}, "In the stream 's': A request has no requirements"),
        ({"requirements": "executor:web_search=12"}, "In the stream 's': The level of 'web_search'.*is '12'"),
        ({"requirements": {"type": "executor", "levels": 1}}, "In the stream 's': A requirement has the unknown field"),
        ({"requirements": "a=b"}, r"'a=b' cannot be read\. Write it as"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        description.workload(described(**fields))
    assert len(str(caught.value)) < 500


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    [f"{chr(ord(one) + 1)}: &{chr(ord(one) + 1)} [{', '.join([f'*{one}'] * 10)}]\n" for one in "abcdefgh"]
)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.yaml", b"streams: [", r"is not YAML: .* in line 1"),
        ("w.yaml", b"streams: \xff", "is not UTF-8 at byte 9"),
        ("w.yaml", b"[" * 100, "is nested deeper than 50 levels"),
        ("w.yaml", b"a: &a [*a]", "is nested deeper than 50 levels"),
        ("w.yaml", BOMB.encode(), "has more than 100,000 values"),
        ("w.yaml", b"when: 2026-13-45", "is not YAML: ValueError"),
        ("w.yaml", b"a: !!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor"),
        ("w.yaml", b"a: 0x1" + b"0" * 10_000, "has a number of 40,001 bits"),
        ("w.yaml", b"# " + b"x" * (1 << 20), "is larger than 1,048,576 bytes"),
        ("w.json", b"{", "is not JSON: "),
        ("w.json", b"[" * 100_000, "is nested deeper than 50 levels"),
    ],
    ids=range(11),
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidRequestError, match=f"^The workload '.*' {said}"):
        document.read(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "said"), [("none.yaml", "No such file"), (".", "Is a directory"), ("a\0b", "null byte")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"cannot be read: .*{said}"):
        document.read(str(tmp_path / name))
