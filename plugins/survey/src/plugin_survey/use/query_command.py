"""The command `framework survey query`."""

from __future__ import annotations

from typing import Any

import click

from framework import CommandContext
from framework.errors import InvalidRequestError
from plugin_survey.reporting.report import path_entry
from plugin_survey.shown import human
from plugin_survey.sizes import Size
from plugin_survey.use.choice import Chosen, catalogue_option, chosen
from plugin_survey.use.finding import Filter, Hit, count_texts, find_words
from plugin_survey.use.quoting import quoted
from plugin_survey.use.words import match_for

LIMIT = 20


@click.command("query", short_help="Find files by the words in them.")
@click.argument("words", metavar="WORDS...", nargs=-1, required=True)
@catalogue_option
@click.option("--below", "path", metavar="PATH", type=click.Path(), help="Only files at or below it.")
@click.option("--any", "either", is_flag=True, help="One of the words suffices.")
@click.option("--not", "without", metavar="WORD", multiple=True, help="Leave out files that have it; may be repeated.")
@click.option("--type", "kind", metavar="TYPE", default="", help="Only files of a type, such as pdf or markdown.")
@click.option(
    "--min-size", "least", metavar="SIZE", type=Size(), default=None, help="Only files of at least this size."
)
@click.option("--max-size", "most", metavar="SIZE", type=Size(), default=None, help="Only files of at most this size.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=LIMIT, show_default=True, help="Most files shown.")
@click.pass_context
def query(
    ctx: click.Context, /, *, words: tuple[str, ...], path: str | None, catalogue: str | None, **options: Any
) -> None:
    """Find the files that have all WORDS in their text, the best first (BM25), as a survey with --index read them.

    A word in quotes of the shell that has spaces is a phrase; one that ends with * stands for all that begin like it.
    Capitals make no difference. Of equal files one is shown.
    """
    context: CommandContext = ctx.obj
    match = match_for(words, options["without"], either=options["either"])
    wanted = Filter(options["kind"].lower(), options["least"] or 0, options["most"] or Filter().most)
    with chosen(context, path, catalogue) as found:
        texts = count_texts(found)
        _check(found, wanted.kind)
        hits = list(find_words(found, match, wanted, options["limit"]))
    if context.format != "table":
        context.emit([_entry(hit) for hit in hits])
    elif hits:
        context.emit([_row(hit) for hit in hits], columns=("path", "type", "size", "snippet"))
    context.message(f"{len(hits):,} shown, of {texts:,} texts" if hits else f"none of {texts:,} texts has that")


def _check(found: Chosen, kind: str) -> None:
    kinds = [row[0] for row in found.reader.rows("SELECT DISTINCT kind FROM content JOIN text USING (id) ORDER BY 1")]
    if kind and kind not in kinds:
        raise InvalidRequestError(f"No text is of type {kind!r}.", f"There are: {', '.join(kinds)}.")


def _row(hit: Hit) -> dict[str, Any]:
    further = f" (and {hit.names - 1:,} equal)" if hit.names > 1 else ""
    return {"path": quoted(hit.path) + further, "type": hit.kind, "size": human(hit.size), "snippet": hit.snippet}


def _entry(hit: Hit) -> dict[str, Any]:
    return {**path_entry(hit.path), **{key: value for key, value in hit._asdict().items() if key != "path"}}
