"""What is inferred from descriptions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from framework import Framework, Plugin, PluginType, hookimpl, plugin
from framework.errors import FrameworkError, InvalidRequestError
from plugin_pool import RULES, ResourcePool, Rule, infer_resource_requirements


def capabilities(description: str, **options: Any) -> list[list[str]]:
    found = infer_resource_requirements(description, **options)
    assert {one.type for one in found} <= {"executor", "reviewer"}
    return [[each.type for each in one.capabilities] for one in found]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Search for papers about DeepSeek", ["web_search"]),
        ("搜索 DeepSeek 论文", ["web_search"]),
        ("Suche Aufsätze über DeepSeek", ["web_search"]),
        ("Rechercher des articles", ["web_search"]),
        ("Buscar artículos", ["web_search"]),
        ("Implement the parser", ["code_generation"]),
        ("编写代码", ["code_generation"]),
        ("Move the FILES to another folder", ["file_ops"]),
        ("读取文件", ["file_ops"]),
        ("Write a report", ["report_generation"]),
        ("生成报告", ["report_generation"]),
        ("Résumer le texte", ["report_generation"]),
        ("Recherchiere, wer das schrieb", ["web_search"]),
        ("Chercher un restaurant", ["web_search"]),
        ("查询天气", ["web_search"]),
        ("Programmiere einen Parser", ["code_generation"]),
        ("Écrire un programme", ["code_generation"]),
        ("Escribe código", ["code_generation"]),
        ("调试程序", ["code_generation"]),
        ("Verschiebe die Dateien in einen Ordner", ["file_ops"]),
        ("Copier les fichiers", ["file_ops"]),
        ("Copiar los archivos en una carpeta", ["file_ops"]),
        ("Schreibe einen Bericht", ["report_generation"]),
        ("Rédiger un rapport", ["report_generation"]),
        ("Redactar un informe", ["report_generation"]),
        ("搜索论文并生成报告", ["web_search", "report_generation"]),
        ("使用 executor-research 搜索 DeepSeek 论文", ["web_search"]),
        ("Search, then write a report into a file", ["web_search", "file_ops", "report_generation"]),
    ],
)
def test_the_rules_apply_in_several_languages(description: str, expected: list[str]) -> None:
    assert capabilities(description) == [expected]


@pytest.mark.parametrize(
    "description",
    ["", "Dance", "Decode a profile", "Such things", "Unsearchable", "Resume the task", "Keep me informed"],
)
def test_where_no_word_tells_anything_nothing_is_inferred(description: str) -> None:
    assert capabilities(description) == []


def test_one_entity_that_can_do_both_is_preferred() -> None:
    pool = ResourcePool()
    pool.add_resource({"id": "a", "type": "executor", "capabilities": ["web_search"]})
    pool.add_resource({"id": "b", "type": "executor", "capabilities": ["report_generation"]})
    task = "Search, and write a report"
    assert capabilities(task, pool=pool) == [["web_search"], ["report_generation"]]

    pool.add_resource({"id": "c", "type": "executor", "capabilities": ["web_search", "report_generation"]})

    assert capabilities(task, pool=pool) == [["web_search", "report_generation"]]
    assert pool.allocate_resources("task", infer_resource_requirements(task, pool=pool)).allocated_resources == ("c",)


def test_rules_can_be_added() -> None:
    rules = (*RULES, Rule("reviewer", "code_review", ("review", "审查")))

    assert capabilities("Review the code", rules=rules) == [["code_generation"], ["code_review"]]
    assert capabilities("审查", rules=rules) == [["code_review"]]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="7"):
        infer_resource_requirements(7)  # type: ignore[arg-type]


def test_one_entity_with_both_skills_at_the_levels_is_preferred_and_else_one_for_each() -> None:
    rules = [
        {"type": "executor", "capability": "web_search", "words": ["search"], "min_level": 7},
        {"type": "executor", "capability": "report_generation", "words": {"en": ["report"]}, "min_level": 5},
    ]
    pool = ResourcePool()
    pool.rules = lambda: rules
    pool.add_resource({"id": "weak", "type": "executor", "capabilities": {"web_search": 6, "report_generation": 10}})
    pool.add_resource({"id": "search", "type": "executor", "capabilities": {"web_search": 7}})
    task = "Search, and write a report"

    apart = pool.infer_resource_requirements(task)
    assert [[(each.type, each.min_level) for each in one.capabilities] for one in apart] == [
        [("web_search", 7)],
        [("report_generation", 5)],
    ]
    assert sorted(pool.allocate_resources("t", apart).allocated_resources) == ["search", "weak"]

    pool.add_resource({"id": "both", "type": "executor", "capabilities": {"web_search": 7, "report_generation": 5}})

    (together,) = pool.infer_resource_requirements(task)
    assert pool.allocate_resources("u", together).allocated_resources == ("both",)
    assert pool.infer_resource_requirements(task) == [together]  # it is in use, and worth waiting for


def test_of_two_rules_for_one_capability_the_higher_level_counts() -> None:
    rules = [Rule("executor", "web_search", ("search",), 3), Rule("executor", "web_search", ("thorough",), 8)]
    (found,) = infer_resource_requirements("A thorough search", rules=rules)
    assert [(one.type, one.min_level) for one in found.capabilities] == [("web_search", 8)]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (7, "7"),
        ({"type": "t", "capability": "c"}, "words of the rule for 'c' of 't' are None"),
        ({"type": "t", "capability": "c", "words": "word"}, "a list, or lists by language"),
        ({"type": "t", "capability": "c", "words": []}, "0 words"),
        ({"type": "t", "capability": "c", "words": [" "]}, "none may be empty"),
        ({"type": "t", "capability": "c", "words": ["a\x07"]}, r"A word of the rule for 'c' of 't' is 'a\\x07'"),
        ({"type": "t", "capability": "c", "words": {"en": [3]}}, "A word of the rule for 'c' of 't' is 3"),
        ({"type": "t", "capability": "c", "words": ["w"], "min_level": 11}, "11; 1 to 10"),
        ({"type": "t", "capability": "", "words": ["w"]}, "The capability of a rule for 't'"),
        ({"type": "t", "capabilty": "c", "words": ["w"]}, "Did you mean 'capability'"),
    ],
)
def test_a_wrong_rule_is_refused(rule: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        infer_resource_requirements("word", rules=[rule])


class RulesPlugin(Plugin):
    """Registers what it is made with."""

    def __init__(self, given: Any) -> None:
        self.given = given

    @hookimpl(optionalhook=True)
    def register_inference_rules(self) -> Any:
        return self.given() if callable(self.given) else self.given


def named(name: str, given: Any) -> Plugin:
    one: Any = type(f"Plugin{name}", (RulesPlugin,), {})
    found: Plugin = plugin(name, "1", "Registers rules.", "Somebody", PluginType.PROCESSOR)(one)(given)
    return found


DRAW = ({"type": "executor", "capability": "image_generation", "words": {"en": ["draw"], "zh": ["画"]}},)


def raises() -> None:
    raise ValueError("oh")


def ends_early() -> Any:
    yield DRAW[0]
    raise ValueError("oh")


async def test_rules_of_plugins_and_of_the_settings_count_and_broken_ones_take_nothing_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = {"raising": raises, "number": 7, "text": "draw", "generator": ends_early, "partly": [Ellipsis, DRAW[0]]}
    plugins = [named("draws", DRAW), *(named(name, given) for name, given in broken.items())]
    settings = {"rules": [{"type": "reviewer", "capability": "code_review", "words": ["review"]}]}
    with caplog.at_level("WARNING", "framework"):
        async with Framework.from_config({"plugins": {"pool": settings}}, plugins=plugins) as framework:
            pool: Any = await framework.service("pool")
            assert pool.infer_resource_requirements("画一只猫")
            found = pool.infer_resource_requirements("画一只猫, review it, and search")
    assert [(one.type, [each.type for each in one.capabilities]) for one in found] == [
        ("executor", ["web_search", "image_generation"]),
        ("reviewer", ["code_review"]),
    ]
    told: list[Any] = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    refused = [one for one in told if one["event"] == "pool_rules_refused"]
    assert sorted(one["plugin"] for one in refused) == sorted(broken)
    assert refused[0].keys() - {"event", "level"} == {"plugin", "rule", "error"}


async def test_rules_without_end_are_cut_off_and_told(caplog: pytest.LogCaptureFixture) -> None:
    endless = named("endless", lambda: itertools.repeat(DRAW[0]))
    async with Framework.from_config({"plugins": {"pool": {}}}, plugins=[endless]) as framework:
        pool: Any = await framework.service("pool")
        with caplog.at_level("WARNING", "framework"):
            assert pool.infer_resource_requirements("Draw a cat")
    (told,) = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    assert (told["plugin"], told["error"]) == (
        "endless",
        "ValueError: 1,000 rules are allowed; the others are left out",
    )


async def test_a_plugin_that_stops_takes_its_rules_with_it() -> None:
    async with Framework.from_config({"plugins": {"pool": {}}}, plugins=[named("draws", DRAW)]) as framework:
        pool: Any = await framework.service("pool")
        assert pool.infer_resource_requirements("Draw a cat")
        await framework.disable("draws")
        assert pool.infer_resource_requirements("Draw a cat") == []


async def test_a_wrong_rule_in_the_settings_is_named() -> None:
    settings = {"rules": [{"type": "t", "capability": "c", "words": []}]}
    async with Framework.from_config({"plugins": {"pool": settings}}) as framework:
        with pytest.raises(FrameworkError, match=r"rules.*the rule for 'c' of 't'"):
            await framework.service("pool")
