"""`Rule`: words that tell of a capability; the rules that the pool knows by itself, by language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from framework.errors import InvalidRequestError
from plugin_pool import reading
from plugin_pool.vocabulary import LEVELS

MOST_WORDS = 1000


class Rule(NamedTuple):
    """Words that tell of a capability.

    Attributes:
        type: The type of entity that has it.
        capability: The capability.
        words: Beginnings of words, a list or lists by language; where words are not separated, any part of the text.
        min_level: The level that is required.
    """

    type: str
    capability: str
    words: Iterable[str] | Mapping[str, Iterable[str]]
    min_level: int = 1


RULES = (
    Rule(
        "executor",
        "web_search",
        {
            "en": ("search", "look up", "find online", "research", "browse"),
            "zh": ("搜索", "检索", "查找", "查询", "上网"),
            "de": ("suche", "such nach", "durchsuch", "recherch", "nachschlag"),
            "fr": ("recherch", "cherche", "trouver en ligne"),
            "es": ("busca", "busque", "búsqueda", "investigar", "investigación"),
        },
    ),
    Rule(
        "executor",
        "code_generation",
        {
            "en": ("code", "coding", "program", "implement", "refactor", "debug"),
            "zh": ("代码", "编程", "编写程序", "写程序", "重构", "调试"),
            "de": ("codier", "kodier", "quelltext", "quellcode", "programmier", "entwickle"),
            "fr": ("coder", "programme", "implément", "développe", "débogu"),
            "es": ("código", "codific", "programa", "implementa", "depura"),
        },
    ),
    Rule(
        "executor",
        "file_ops",
        {
            "en": ("file", "folder", "directory", "directories"),
            "zh": ("文件", "目录", "文件夹"),
            "de": ("datei", "ordner", "verzeichnis"),
            "fr": ("fichier", "dossier", "répertoire"),
            "es": ("archivo", "fichero", "carpeta", "directorio"),
        },
    ),
    Rule(
        "executor",
        "report_generation",
        {
            "en": ("report", "summary", "summari"),
            "zh": ("报告", "总结", "汇总", "摘要"),
            "de": ("bericht", "zusammenfass", "fasse zusammen"),
            "fr": ("rapport", "résum", "synthèse", "compte rendu"),
            "es": (
                "un informe",
                "el informe",
                "informes",
                "informe sobre",
                "resumen",
                "resumir",
                "resuma",
                "reporte",
            ),
        },
    ),
)
"""Searching, programming, files and reports, in English, Chinese, German, French and Spanish."""


class Tell(NamedTuple):
    """A rule that was checked, ready to be used."""

    type: str
    capability: str
    min_level: int
    pattern: re.Pattern[str]


def checked(given: object) -> Tell:
    """Return a rule that can be used, from a `Rule`, an object with the same attributes, or a mapping.

    Raises:
        InvalidRequestError: A field is unknown, missing or wrong.
    """
    if isinstance(given, Rule):
        given = given._asdict()
    found = reading.fields(given, ("type", "capability", "words", "min_level"), "rule")
    kind = reading.text(found.get("type"), "The type of a rule")
    capability = reading.text(found.get("capability"), f"The capability of a rule for {kind!r}")
    about = f"the rule for {capability!r} of {kind!r}"
    level = found.get("min_level", 1)
    if type(level) is not int or level not in LEVELS:
        raise InvalidRequestError(
            f"The level of {about} is {level!r:.60}; 1 to {LEVELS[-1]} are allowed.", "Leave it out for any."
        )
    return Tell(kind, capability, level, _pattern(_words(found.get("words"), about)))


def _words(given: object, about: str) -> list[str]:
    """Return the words of all languages."""
    if isinstance(given, Mapping):
        return [word for one in given.values() for word in _words(one, about)]
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidRequestError(
            f"The words of {about} are {given!r:.60}; a list, or lists by language, are allowed.", "Give a list."
        )
    words = [reading.text(one, f"A word of {about}").casefold().strip() for one in given]
    if not words or not all(words) or len(words) > MOST_WORDS:
        raise InvalidRequestError(
            f"There are {len(words)} words in {about}; 1 to {MOST_WORDS} are allowed, of which none may be empty.",
            "Give the beginnings of words that tell of it.",
        )
    return words


def _pattern(words: list[str]) -> re.Pattern[str]:
    """Return what finds any of the words: at the beginning of one, or anywhere in scripts that separate no words."""
    return re.compile("|".join([("" if one[0] >= "\u2e80" else r"\b") + re.escape(one) for one in words]))
