"""Whatever implements a hook, a call gives what the rules say: order, arguments, failures, first result, kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from framework import hookimpl, hookspec
from framework.hooks import Hooks

ARGUMENTS = ("card", "colour", "player")


class Cards:
    @hookspec
    def plain(self, card: int, colour: int, player: int = 3) -> object: ...

    @hookspec(firstresult=True)
    def first(self, card: int, colour: int, player: int = 3) -> object: ...

    @hookspec
    async def later(self, card: int, colour: int, player: int = 3) -> object: ...

    @hookspec(firstresult=True)
    async def later_first(self, card: int, colour: int, player: int = 3) -> object: ...


@dataclass(frozen=True)
class One:
    """One implementation: which arguments it takes, whether with defaults, what it does, when it wants to be called."""

    takes: tuple[str, ...]
    optional: int
    does: str
    awaited: bool
    when: str

    def outcome(self, index: int, values: dict[str, int]) -> Any:
        """Return what it returns."""
        return None if self.does == "nothing" else (index, *(values[name] for name in self.takes))

    def function(self, index: int) -> Callable[..., Any]:
        """Return it, written as an author would."""
        cut = len(self.takes) - min(self.optional, len(self.takes))
        parameters = ", ".join([*self.takes[:cut], *(f"{name}=-1" for name in self.takes[cut:])])
        body = f"({index}, {', '.join(self.takes)}{',' if self.takes else ''})"
        body = {"raises": "1 / 0", "nothing": "None", "returns": body}[self.does]
        namespace: dict[str, Any] = {}
        exec(f"{'async ' if self.awaited else ''}def made({parameters}):\n    return {body}", namespace)
        made: Callable[..., Any] = namespace["made"]
        return made


ONES = st.builds(
    One,
    st.permutations(ARGUMENTS).flatmap(lambda names: st.integers(0, 3).map(lambda many: tuple(names[:many]))),
    st.integers(0, 3),
    st.sampled_from(["returns", "returns", "nothing", "raises"]),
    st.booleans(),
    st.sampled_from(["tryfirst", "", "trylast"]),
)


@given(st.lists(ONES, max_size=9), st.sampled_from(["plain", "first", "later", "later_first"]), st.data())
def test_results_are_those_of_the_rules(ones: list[One], hook: str, data: st.DataObject) -> None:
    hooks = Hooks()
    hooks.registry.add_hookspecs(Cards, "cards")
    if not hook.startswith("later"):
        ones = [replace(one, awaited=False) for one in ones]
    for index, one in enumerate(ones):
        plugin = type("Some", (), {})()
        plugin.method = hookimpl(specname=hook, tryfirst=one.when == "tryfirst", trylast=one.when == "trylast")(
            one.function(index)
        )
        hooks.registry.register(plugin, str(index))
    order = data.draw(st.permutations(range(len(ones))))
    active = data.draw(st.integers(0, len(ones)))
    hooks.set_order(str(index) for index in order[:active])
    ranks = ["tryfirst", "", "trylast"]
    expected_order = sorted(order[:active], key=lambda index: ranks.index(ones[index].when))

    values = {"card": 1, "colour": 2, "player": 3}
    results, calls, failures = [], 0, 0
    for index in expected_order:
        calls += 1
        failures += ones[index].does == "raises"
        result = None if ones[index].does == "raises" else ones[index].outcome(index, values)
        if result is not None:
            results.append(result)
            if hook.endswith("first"):
                break
    expected = (results[0] if results else None) if hook.endswith("first") else results

    many = data.draw(st.integers(1, 8))

    async def call() -> list[Any]:
        found = hooks.hook(hook)
        made = [found.call(1, 2) for _ in range(many)]
        return [await one for one in made] if hook.startswith("later") else made

    assert asyncio.run(call()) == [expected] * many
    rows = hooks.statistics()
    assert sum(one.calls for one in rows) == calls * many
    assert sum(one.failures for one in rows) == failures * many
