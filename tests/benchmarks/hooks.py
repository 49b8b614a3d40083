"""Calling a hook of a plugin against pluggy and against a plain loop.

    python tests/benchmarks/hooks.py [--rounds 30]

A hook with one argument and 1, 10 and 50 implementations, each a method that returns a number, and the same with three
arguments of which the implementations take one. All variants run in turn within every round; the figure is the minimum
over rounds of the mean of a batch. The plain loop isolates nothing and times nothing; the kernel's does both.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from typing import Any

import pluggy

from framework import hookimpl, hooks, hookspec, hookspecs

CALLS = 20_000
"""Calls of implementations in one batch."""


class Specifications:
    """What is called."""

    @hookspec
    def one(self, card: int) -> int:
        """Take one argument."""
        return card

    @hookspec
    def three(self, card: int, colour: str, player: str) -> int:
        """Take three arguments."""
        return card

    @hookspec
    async def later(self, card: int) -> int:
        """Take one argument, and be awaited."""
        return card


class Player:
    """Implements every hook."""

    @hookimpl
    def one(self, card: int) -> int:
        """Take the argument."""
        return card

    @hookimpl
    def three(self, card: int) -> int:
        """Take one argument of three."""
        return card

    @hookimpl
    def later(self, card: int) -> int:
        """Need not be awaited."""
        return card


def variants(many: int) -> dict[str, Callable[[], Any]]:
    """Return what is measured with so many implementations; the plain loop first."""
    players = [Player() for _ in range(many)]
    board = hooks.Hooks()
    board.registry.add_hookspecs(Specifications, "cards")
    others = pluggy.PluginManager(hookspecs.PROJECT)
    others.add_hookspecs(Specifications)
    for number, player in enumerate(players):
        board.registry.register(player, f"player{number}")
        others.register(player, f"player{number}")
    board.set_order(f"player{number}" for number in range(many))
    functions = [player.one for player in players]

    def plain(card: int) -> list[int]:
        results = []
        for function in functions:
            results.append(function(card))  # noqa: PERF401 - a loop is what is compared
        return results

    one, three = board.hook("one").call, board.hook("three").call
    return {
        "plain loop": lambda: plain(1),
        "hook.call": lambda: one(1),
        "hooks.call(name)": lambda: board.call("one", card=1),
        "hook.call, 1 of 3 arguments": lambda: three(1, "red", "x"),
        "pluggy": lambda: others.hook.one(card=1),
        "pluggy, 1 of 3 arguments": lambda: others.hook.three(card=1, colour="red", player="x"),
    }


def measure(rounds: int, many: int) -> dict[str, float]:
    """Return the seconds that one call takes, by variant."""
    found = variants(many)
    best = dict.fromkeys(found, float("inf"))
    for _ in range(rounds):
        for name, call in found.items():
            start = time.perf_counter()
            for _ in range(CALLS // many):
                call()
            best[name] = min(best[name], (time.perf_counter() - start) / (CALLS // many))
    return best


async def measure_awaited(rounds: int, many: int) -> float:
    """Return the seconds that one call of a hook that must be awaited takes, where no implementation must be."""
    board = hooks.Hooks()
    board.registry.add_hookspecs(Specifications, "cards")
    for number in range(many):
        board.registry.register(Player(), f"player{number}")
    board.set_order(f"player{number}" for number in range(many))
    later = board.hook("later").call
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(CALLS // many):
            await later(1)
        best = min(best, (time.perf_counter() - start) / (CALLS // many))
    return best


def main() -> None:
    """Print minima and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for many in (1, 10, 50):
        best = measure(rounds, many)
        best["hook.call, awaited"] = asyncio.run(measure_awaited(rounds, many))
        print(f"{many} implementations")
        for name, seconds in best.items():
            print(f"  {name:32} {seconds * 1e9:9.0f} ns  {seconds / best['plain loop']:6.2f} x plain loop")


if __name__ == "__main__":
    main()
