"""Runs the Python examples of a page: `python example.py PAGE`, in the folder with `given.py` and `program.py`.

What the examples take for granted, and then the examples themselves, are run as one program. Both may await at their
top level, as in `python -m asyncio`; what is given may enter contexts by `given`, an `AsyncExitStack`.
"""

import ast
import asyncio
import contextlib
import inspect
import sys
from types import CodeType
from typing import Any


def main(page: str) -> None:
    """Run it; a program without `await` is run outside any event loop, so that it may run one itself."""
    codes = [_compiled("given.py", "given.py"), _compiled("program.py", page)]
    names: dict[str, Any] = {"__name__": "example"}
    if any(code.co_flags & inspect.CO_COROUTINE for code in codes):
        asyncio.run(_awaited(codes, names))
        return
    for code in codes:
        exec(code, names)


async def _awaited(codes: list[CodeType], names: dict[str, Any]) -> None:
    async with contextlib.AsyncExitStack() as names["given"]:
        for code in codes:
            result = eval(code, names)
            if inspect.iscoroutine(result):
                await result


def _compiled(file: str, page: str) -> CodeType:
    with open(file, encoding="utf-8") as stream:
        code: CodeType = compile(stream.read(), page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


if __name__ == "__main__":
    main(sys.argv[1])
