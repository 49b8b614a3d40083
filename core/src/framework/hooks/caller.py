"""Makes the function that calls a hook's implementations.

A plain loop is what calling ten functions costs at least. pluggy takes eight times that, because it maps arguments by
name in every call. Here the calls are written out, with the arguments that each implementation takes, when the hook is
first called after its implementations changed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any

from framework.hooks.specification import is_asynchronous

if TYPE_CHECKING:
    import pluggy

    from framework.hooks.hook import Hook, Implementation

Function = Callable[..., Any]

_HEAD = """
def make(__hook, __version, __ones):
    {names}[__one.function for __one in __ones]
    {prefix}def strict({arguments}):
        return {wait}__hook.watch{suffix}({values}, strict=True)
    {prefix}def call({arguments}):
        if __hook.version != __version:
            return {wait}__hook.renewed()({arguments})
        __hook.calls = __calls = __hook.calls + 1
        if __calls >= __hook.due:
            return {wait}__hook.watch{suffix}({values})
        __results = []
"""
_STEP = """
        try:
            __result = {wait}__{index}({given})
            if __result is not None:
                __results.append(__result)
        except BaseException as __error:
            __hook.fail(__ones[{index}], __error)
"""
_FIRST = """
        __ones[{index}].calls += 1
        try:
            __result = {wait}__{index}({given})
            if __result is not None:
                return __result
        except BaseException as __error:
            __hook.fail(__ones[{index}], __error)
"""
_TAIL = """
        return {end}
    return call, strict
"""


def callers(hook: Hook, version: int, ones: tuple[Implementation, ...]) -> tuple[Function, Function]:
    """Return the function that calls a hook's implementations, and the one that raises what failed.

    Args:
        hook: The hook; when its version is another one, the functions have it renew them.
        version: The version of the implementations.
        ones: The implementations, in order.
    """
    specification = hook.specification
    steps = tuple((one.taken, one.asynchronous) for one in ones)
    code = _compiled(specification.arguments, specification.asynchronous, specification.firstresult, steps)
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102 - made of templates and of names that were parameters already
    made: tuple[Function, Function] = namespace["make"](hook, version, ones)
    for each in made:
        each.__name__ = each.__qualname__ = specification.name
        each.__doc__ = inspect.getdoc(specification.function)
        each.__defaults__ = specification.defaults or None
    return made


def taken(one: pluggy.HookImpl, arguments: tuple[str, ...]) -> str:
    """Return what an implementation is given of the arguments of its hook, as it is written in a call."""
    return ", ".join([*one.argnames, *(f"{name}={name}" for name in one.kwargnames if name in arguments)])


def plain(function: Function) -> Function:
    """Return a function that is asynchronous if it may return something to await, as a decorated one may."""
    if inspect.iscoroutinefunction(function) or not is_asynchronous(function):
        return function

    async def settled(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        return await result if inspect.isawaitable(result) else result

    return settled


@functools.lru_cache(maxsize=256)
def adapter(arguments: tuple[str, ...], given: str) -> Callable[[Function], Function]:
    """Return what makes, of an implementation, a function that takes all arguments of the hook."""
    made: Callable[[Function], Function] = eval(  # noqa: S307 - made of names that were parameters already
        f"lambda __function: lambda {', '.join(arguments)}: __function({given})"
    )
    return made


@functools.lru_cache(maxsize=256)
def _compiled(
    arguments: tuple[str, ...], asynchronous: bool, firstresult: bool, steps: tuple[tuple[str, bool], ...]
) -> CodeType:
    given = ", ".join(arguments)
    head = _HEAD.format(
        names="".join(f"__{index}, " for index in range(len(steps))) + "= " if steps else "",
        arguments=given,
        values=f"({given},)" if given else "()",
        prefix="async " if asynchronous else "",
        wait="await " if asynchronous else "",
        suffix="_async" if asynchronous else "",
    )
    step = _FIRST if firstresult else _STEP
    calls = [
        step.format(index=index, given=takes, wait="await " if awaited else "")
        for index, (takes, awaited) in enumerate(steps)
    ]
    source = "".join([head, *calls, _TAIL.format(end="None" if firstresult else "__results")])
    return compile(source, "<framework hook>", "exec")
