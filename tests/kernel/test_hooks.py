"""Plugins specify hooks, others implement them; a broken implementation never keeps the others from running."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pluggy
import pytest

from framework import hookimpl, hookspec
from framework.errors import FrameworkDeprecationWarning, PluginError
from framework.hooks import KERNEL, HookCall, Hooks

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Cards:
    @hookspec
    def dealt(self, card: int, colour: str, player: str = "nobody") -> object:
        """Say what follows from a card that was dealt."""

    @hookspec(firstresult=True)
    def chosen(self, card: int) -> object:
        """Choose."""

    @hookspec
    async def played(self, card: int) -> object:
        """Wait for a card that was played."""

    @hookspec(historic=True)
    def opened(self, table: str) -> None:
        """See a table that was opened, before or after."""


def implementing(hook: str, function: Callable[..., object], **options: Any) -> object:
    """Return a plugin object with one implementation."""
    plugin = type("Some", (), {})()
    plugin.method = hookimpl(specname=hook, **options)(function)
    return plugin


class Stage:
    """Hooks of a plugin `cards`, and plugins that implement them."""

    def __init__(self) -> None:
        self.hooks = Hooks()
        self.hooks.registry.add_hookspecs(Cards, "cards")
        self.names: list[str] = []

    def add(self, name: str, hook: str, function: Callable[..., object], **options: Any) -> None:
        self.hooks.registry.register(implementing(hook, function, **options), name)
        self.names.append(name)
        self.hooks.set_order(self.names)

    def stop(self, name: str) -> None:
        self.names.remove(name)
        self.hooks.set_order(self.names)
        self.hooks.registry.unregister(name=name)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def raising(error: BaseException) -> Callable[..., object]:
    def fail(card: int) -> object:
        raise error

    return fail


def test_each_takes_the_arguments_it_wants_and_nothing_is_left_out_but_none(stage: Stage) -> None:
    stage.add("all", "dealt", lambda card, colour, player: (card, colour, player))
    stage.add("one", "dealt", lambda colour: colour)
    stage.add("none", "dealt", lambda: None)
    stage.add("turned", "dealt", lambda player, card: (player, card))
    stage.add("default", "dealt", lambda card, other=7, colour="red": (card, other, colour))

    expected = [(1, "blue", "nobody"), "blue", ("nobody", 1), (1, 7, "blue")]
    for _ in range(10):  # the first calls go another way than the later ones
        assert stage.hooks.call("dealt", card=1, colour="blue") == expected
    assert stage.hooks.hook("dealt").call(1, "blue") == expected


def test_a_wrong_argument_is_refused_with_the_name_of_the_hook(stage: Stage) -> None:
    with pytest.raises(TypeError, match=r"dealt\(\) missing 1 required positional argument: 'colour'"):
        stage.hooks.call("dealt", card=1)
    with pytest.raises(TypeError, match=r"dealt\(\) got an unexpected keyword argument 'cart'"):
        stage.hooks.call("dealt", cart=1, colour="")


def test_the_order_is_that_of_the_plugins_within_first_normal_and_last(stage: Stage) -> None:
    for name, options in {
        "a": {"trylast": True},
        "b": {},
        "c": {"tryfirst": True},
        "d": {},
        "e": {"tryfirst": True},
    }.items():
        stage.add(name, "dealt", lambda name=name: name, **options)

    assert stage.hooks.call("dealt", card=1, colour="") == ["c", "e", "b", "d", "a"]
    stage.hooks.set_order(["e", "d", "c", "b", "a"])
    assert stage.hooks.call("dealt", card=1, colour="") == ["e", "c", "d", "b", "a"]
    assert {one.name: one.implemented_by for one in stage.hooks.records()}["dealt"] == ("e", "c", "d", "b", "a")
    stage.hooks.set_order(["b"])  # who is not active is not called
    assert stage.hooks.call("dealt", card=1, colour="") == ["b"]


def test_the_first_result_ends_the_call_and_only_who_was_asked_is_counted(stage: Stage) -> None:
    stage.add("a", "chosen", lambda card: None)
    stage.add("b", "chosen", lambda card: card or None)
    stage.add("c", "chosen", lambda: "c")

    assert [stage.hooks.call("chosen", card=number) for number in (5, 0, 6, 0, 7, 8, 9, 0)] == [
        5,
        "c",
        6,
        "c",
        7,
        8,
        9,
        "c",
    ]
    assert [one.calls for one in stage.hooks.statistics()] == [8, 8, 3]
    stage.stop("b")
    stage.stop("c")
    assert stage.hooks.call("chosen", card=1) is None


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), type("Odd", (BaseException,), {})("odd")])
def test_one_that_raises_is_recorded_and_the_others_still_run(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    stage.add("good", "dealt", lambda card: card)
    stage.add("bad", "dealt", raising(error))
    stage.add("late", "dealt", lambda card: -card)

    with caplog.at_level(logging.ERROR, "framework"):
        for _ in range(9):
            assert stage.hooks.call("dealt", card=2, colour="") == [2, -2]
    bad, good, late = stage.hooks.statistics()
    assert (bad.calls, bad.failures, bad.last_error) == (9, 9, f"{type(error).__name__}: {error}")
    assert (good.calls, good.failures, late.calls, late.failures) == (9, 0, 9, 0)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split("failures=")[1].split()[0] for line in said] == ["1", "2", "4", "8"]
    assert all("hook_failed plugin=bad hook=dealt" in line for line in said)


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), BaseExceptionGroup("", [KeyboardInterrupt()])],
)
def test_what_ends_more_than_the_hook_passes(stage: Stage, error: BaseException) -> None:
    stage.add("bad", "dealt", raising(error))
    for _ in range(6):
        with pytest.raises(type(error)):
            stage.hooks.call("dealt", card=2, colour="")
    assert stage.hooks.statistics()[0].failures == 0


def test_a_strict_call_raises_everything_after_all_have_run(stage: Stage) -> None:
    seen: list[int] = []
    stage.add("a", "dealt", raising(ValueError("a")))
    stage.add("b", "dealt", raising(SystemExit(2)))
    stage.add("c", "dealt", lambda card: seen.append(card))

    with pytest.raises(ExceptionGroup, match="calling the hook 'dealt'") as caught:
        stage.hooks.call_strict("dealt", card=4, colour="")
    value, exits = caught.value.exceptions
    assert (str(value), value.__notes__) == ("a", ["in the hook 'dealt' of plugin 'a'"])
    assert isinstance(exits, PluginError)
    assert (exits.plugin, type(exits.__cause__)) == ("b", SystemExit)
    assert seen == [4]
    stage.stop("a")
    stage.stop("b")
    assert stage.hooks.call_strict("dealt", card=4, colour="") == []


async def test_an_asynchronous_hook_takes_both_kinds_of_implementations(stage: Stage) -> None:
    async def awaited(card: int) -> int:
        await asyncio.sleep(0)
        return card + 1

    async def failing(card: int) -> int:
        await asyncio.sleep(0)
        raise ValueError(card)

    @functools.wraps(awaited)
    def decorated(card: int) -> Awaitable[int]:
        return awaited(card + 1)

    @functools.wraps(awaited)
    def finished(card: int) -> int:
        return 0

    functions: dict[str, Callable[..., object]] = {
        "a": awaited,
        "b": lambda card: card,
        "c": failing,
        "d": decorated,
        "e": finished,
    }
    for name, function in functions.items():
        stage.add(name, "played", function)

    for _ in range(8):
        assert await stage.hooks.call("played", card=5) == [6, 5, 7, 0]
    with pytest.raises(ExceptionGroup, match="played"):
        await stage.hooks.call_strict("played", card=5)
    assert {one.plugin: (one.calls, one.failures) for one in stage.hooks.statistics()} == {
        "a": (9, 0),
        "b": (9, 0),
        "c": (9, 9),
        "d": (9, 0),
        "e": (9, 0),
    }


async def test_a_cancelled_call_is_cancelled(stage: Stage) -> None:
    waiting = asyncio.Event()

    async def hang(card: int) -> None:
        waiting.set()
        await asyncio.Event().wait()

    stage.add("a", "played", hang)
    task = asyncio.create_task(stage.hooks.call("played", card=1))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_an_asynchronous_implementation_of_a_plain_hook_is_refused(stage: Stage) -> None:
    async def awaited(card: int) -> int:
        return card

    with pytest.raises(PluginError, match=r"'dealt' is `async def`, but is specified by 'cards' as a plain `def`"):
        stage.add("a", "dealt", awaited)
    assert not stage.hooks.registry.has_plugin("a")
    assert stage.hooks.call("dealt", card=1, colour="") == []


@pytest.mark.parametrize("options", [{"wrapper": True}, {"hookwrapper": True}])
def test_a_wrapper_is_refused_with_a_way_out(stage: Stage, options: dict[str, bool]) -> None:
    with pytest.raises(PluginError, match="Use tryfirst or trylast"):
        stage.add("a", "dealt", lambda card: (yield), **options)
    assert not stage.hooks.registry.has_plugin("a")


def test_a_historic_hook_is_replayed_to_plugins_that_come_later(stage: Stage) -> None:
    early: list[str] = []
    late: list[str] = []
    stage.add("early", "opened", lambda table: early.append(table))
    for table in ("first", "second"):
        stage.hooks.call("opened", table=table)
    stage.add("bad", "opened", lambda table: 1 / 0)
    stage.add("late", "opened", lambda table: late.append(table))
    stage.hooks.call("opened", table="third")

    assert early == late == ["first", "second", "third"]
    assert [(one.plugin, one.calls, one.failures) for one in stage.hooks.statistics()] == [
        ("bad", 3, 3),
        ("early", 3, 0),
        ("late", 3, 0),
    ]


def refused_specifications() -> list[Any]:
    class Later:
        @hookspec(historic=True)
        async def late(self) -> None: ...

    class Many:
        @hookspec
        def many(self, *cards: int) -> None: ...

    class Named:
        @hookspec
        def named(self, *, card: int) -> None: ...

    class Private:
        @hookspec
        def private(self, __hook__: int) -> None: ...

    class Twice:
        @hookspec
        def dealt(self) -> None: ...

    class Nothing:
        pass

    texts = (
        "must be a plain",
        r"takes \*cards",
        "takes card",
        "takes _",
        "which 'cards' specified already",
        "no function",
    )
    return list(zip((Later, Many, Named, Private, Twice, Nothing), texts, strict=True))


@pytest.mark.parametrize(("namespace", "text"), refused_specifications())
def test_a_specification_that_cannot_be_is_refused_and_leaves_nothing(stage: Stage, namespace: Any, text: str) -> None:
    before = stage.hooks.records()
    with pytest.raises(PluginError, match=text) as caught:
        stage.hooks.registry.add_hookspecs(namespace, "x")
    assert caught.value.plugin == "x"
    assert stage.hooks.records() == before


def test_a_hook_that_cannot_be_called_is_named_with_the_nearest(stage: Stage) -> None:
    with pytest.raises(PluginError, match=r"'dealtt' is not specified by any plugin.*Did you mean 'dealt'\?"):
        stage.hooks.call("dealtt")
    with pytest.raises(PluginError, match="'register_services' belongs to the kernel"):
        stage.hooks.call("register_services")


def test_a_specification_goes_with_its_plugin_and_may_come_back(stage: Stage) -> None:
    stage.hooks.registry.register(cards := object(), "cards")
    stage.add("a", "dealt", lambda card: card, optionalhook=True)
    hook = stage.hooks.hook("dealt")
    stage.hooks.registry.unregister(cards)

    with pytest.raises(PluginError, match="went when plugin 'cards'"):
        hook.call(1, "")
    with pytest.raises(PluginError, match="not specified"):
        stage.hooks.call("dealt", card=1, colour="")
    assert [one.name for one in stage.hooks.records() if one.specified_by != KERNEL] == ["dealt"]
    stage.hooks.registry.add_hookspecs(Cards, "cards")
    assert stage.hooks.call("dealt", card=1, colour="") == [1]
    with pytest.raises(PluginError, match="went when"):
        hook.call(1, "")


def test_a_call_that_was_kept_follows_who_starts_and_stops(stage: Stage) -> None:
    call = stage.hooks.hook("dealt").call
    stage.add("a", "dealt", lambda card: card)
    assert call(1, "") == [1]
    stage.add("b", "dealt", lambda card: -card)
    assert call(1, "") == [1, -1]
    stage.stop("a")
    assert call(1, "") == [-1]


def test_nothing_is_kept_of_a_plugin_that_stopped(stage: Stage) -> None:
    stage.add("a", "dealt", lambda card: card)
    for _ in range(6):
        stage.hooks.call("dealt", card=1, colour="")
    plugin = weakref.ref(stage.hooks.registry.get_plugin("a"))
    stage.stop("a")
    gc.collect()
    assert plugin() is None
    assert stage.hooks.statistics() == ()


def test_who_waited_for_a_hook_and_does_not_fit_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    hooks.registry.register(implementing("dealt", lambda cart: cart, optionalhook=True), "bad")
    hooks.registry.register(implementing("dealt", lambda card: card, optionalhook=True), "good")
    hooks.set_order(["bad", "good"])

    hooks.registry.add_hookspecs(Cards, "cards")

    assert hooks.call("dealt", card=3, colour="") == [3]
    assert hooks.warnings("bad") == (
        "It is not called: its hook 'dealt' wants cart, but the arguments are card, colour, player.",
    )
    assert hooks.warnings("good") == ()
    assert "hook_warned plugin=bad" in caplog.text


def test_an_argument_that_the_hook_does_not_have_is_refused(stage: Stage) -> None:
    with pytest.raises(pluggy.PluginValidationError, match="cart"):
        stage.add("bad", "dealt", lambda cart: cart)
    assert not stage.hooks.registry.has_plugin("bad")


class Old:
    @hookspec(warn_on_impl=FrameworkDeprecationWarning(removed_in="0.3", use="dealt"))
    def given(self, card: int) -> object: ...

    @hookspec(warn_on_impl_args={"suit": FrameworkDeprecationWarning(removed_in="0.4", use="colour")})
    def taken(self, card: int, suit: str) -> object: ...

    @hookspec(warn_on_impl=UserWarning("mind the gap"))
    def walked(self) -> object: ...


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("hook", "function", "category", "text"),
    [
        (
            "given",
            lambda card: card,
            FrameworkDeprecationWarning,
            "The hook 'given', which plugin 'b' implements, is deprecated, and goes away in 0.3; use 'dealt' instead.",
        ),
        (
            "taken",
            lambda suit: suit,
            FrameworkDeprecationWarning,
            (
                "The argument 'suit' of the hook 'taken', which plugin 'b' takes, is deprecated, and goes away in 0.4; "
                "use 'colour' instead."
            ),
        ),
        ("walked", lambda: 1, UserWarning, "The hook 'walked', which plugin 'b' implements, warns: mind the gap"),
    ],
)
def test_what_is_deprecated_warns_naming_plugin_version_and_replacement(
    late: bool, hook: str, function: Callable[..., object], category: type[Warning], text: str
) -> None:
    hooks = Hooks()
    plugin = implementing(hook, function, optionalhook=True)
    steps: list[Callable[[], object]] = [
        lambda: hooks.registry.add_hookspecs(Old, "cards"),
        lambda: hooks.registry.register(plugin, "b"),
    ]
    first, second = reversed(steps) if late else steps
    first()
    with pytest.warns(category) as caught:
        second()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert str(caught[0].message) in text
    assert hooks.warnings("b") == (text,)
    hooks.registry.unregister(plugin)
    assert hooks.warnings("b") == ()


def test_what_is_not_deprecated_does_not_warn() -> None:
    hooks = Hooks()
    hooks.registry.add_hookspecs(Old, "cards")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hooks.registry.register(implementing("taken", lambda card: card), "b")
    assert hooks.warnings("b") == ()
    rows = {one.name: one.deprecated for one in hooks.records()}
    assert rows["given"] == "goes away in 0.3; use 'dealt' instead."
    assert rows["taken"] == "suit: goes away in 0.4; use 'colour' instead."
    assert rows["walked"] == "mind the gap"


def test_who_traces_sees_every_call_until_the_block_ends(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.add("a", "dealt", lambda card: card)
    stage.add("b", "dealt", raising(ValueError("no")))
    for _ in range(10):
        stage.hooks.call("dealt", card=1, colour="")
    seen: list[HookCall] = []
    with stage.hooks.trace(seen.append), stage.hooks.trace(lambda _: 1 / 0):
        assert stage.hooks.call("dealt", card=1, colour="") == [1]
        stage.hooks.call("dealt", card=1, colour="")
    stage.hooks.call("dealt", card=1, colour="")

    arguments = ("card", "colour", "player")
    assert [(one.plugin, one.error) for one in seen] == [("a", ""), ("b", "ValueError: no")] * 2
    assert {(one.hook, one.arguments) for one in seen} == {("dealt", arguments)}
    assert all(0 <= one.duration_s < 60 for one in seen)
    assert "hook_trace_failed" in caplog.text


def test_every_call_is_counted_and_few_are_timed(stage: Stage) -> None:
    stage.add("a", "dealt", lambda card: card)
    for _ in range(5000):
        stage.hooks.call("dealt", card=1, colour="")
    (one,) = stage.hooks.statistics()
    assert one.calls == 5000
    assert 4 <= one.timed_calls < 2500
    assert 0 < one.longest_s <= one.total_s


def test_every_call_of_a_slow_hook_is_timed(stage: Stage) -> None:
    stage.add("a", "dealt", lambda card: sum(range(1_000_000)))
    for _ in range(20):
        stage.hooks.call("dealt", card=1, colour="")
    (one,) = stage.hooks.statistics()
    assert one.calls == one.timed_calls == 20
    assert one.total_s >= 20 * 5e-3


def test_threads_lose_no_call(stage: Stage) -> None:
    stage.add("a", "dealt", lambda card: card)
    ready = threading.Barrier(8)

    def many() -> None:
        ready.wait()
        for _ in range(5000):
            stage.hooks.call("dealt", card=1, colour="")

    threads = [threading.Thread(target=many) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert stage.hooks.statistics()[0].calls == 40_000


def test_every_hook_has_a_row_the_kernels_first(stage: Stage) -> None:
    rows = stage.hooks.records()
    assert [one.name for one in rows if one.specified_by == "cards"] == ["chosen", "dealt", "opened", "played"]
    assert {one.specified_by for one in rows[:7]} == {KERNEL}
    chosen, dealt, opened, played = rows[-4:]
    assert (chosen.firstresult, opened.historic, played.asynchronous) == (True, True, True)
    assert (dealt.firstresult, dealt.historic, dealt.asynchronous) == (False, False, False)
    assert dealt.arguments == ("card", "colour", "player")
    assert dealt.description == "Say what follows from a card that was dealt."


def test_a_module_holds_specifications_as_a_class_does() -> None:
    module = types.ModuleType("cards")
    module.dealt = hookspec(lambda card, colour="red": None)  # type: ignore[attr-defined]
    hooks = Hooks()
    hooks.registry.add_hookspecs(module, "cards")
    hooks.registry.register(implementing("dealt", lambda colour: colour), "a")
    hooks.set_order(["a"])
    assert hooks.call("dealt", card=1) == ["red"]
