"""What is inferred from descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from framework.errors import InvalidRequestError
from plugin_pool import ResourcePool, Rule, infer_resource_requirements
from plugin_pool.inference import RULES


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
        ("Search, then write a report into a file", ["web_search", "file_ops", "report_generation"]),
    ],
)
def test_the_rules_apply_in_several_languages(description: str, expected: list[str]) -> None:
    assert capabilities(description) == [expected]


@pytest.mark.parametrize("description", ["", "Dance", "Decode a profile", "Such things", "Unsearchable"])
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
