"""How a worker process finds functions of the owner's main program, as processes that multiprocessing spawns do.

The main program is run in the worker under the name `__mp_main__`, so what `if __name__ == "__main__"` guards is not.
A worker process imports this module, so it imports little.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_FIRST_DIRECTORY = os.getcwd()
_SELF_STARTING = ("ipython",)
"""Main programs that start an application when they are imported."""

being_imported = False
"""Whether this process is a worker that runs the owner's main program now: no pool may be made then."""


def describe() -> dict[str, Any]:
    """Return what a worker needs to find what this process would find."""
    # what a worker returns of its main program's classes names them by the module that they have there
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    path = [entry or _FIRST_DIRECTORY for entry in sys.path]
    return {"path": path, "argv": sys.argv, "main": _main(), "authkey": _authkey()}


def install(description: dict[str, Any]) -> None:
    """Make this process find what its owner would find.

    Raises:
        Exception: Whatever the owner's main program raises when it is imported.
    """
    global being_imported
    sys.path[:], sys.argv = description["path"], description["argv"]
    if description["authkey"] is not None:
        from multiprocessing.process import current_process

        current_process().authkey = description["authkey"]
    how, what = description["main"]
    if how != "none":
        being_imported = True
        _run(how, what)
        being_imported = False


def _main() -> tuple[str, str]:
    main = sys.modules["__main__"]
    name = getattr(main.__spec__, "name", None)
    if name is not None:  # started by -m; a package's __main__ is a guard of its own
        return ("none", "") if name.split(".")[-1] == "__main__" else ("name", name)
    file = getattr(main, "__file__", None)
    path = os.path.join(_FIRST_DIRECTORY, file) if file else ""
    # a program read from standard input claims the file `<stdin>`
    usable = os.path.exists(path) and os.path.splitext(os.path.basename(path))[0] not in _SELF_STARTING
    return ("path", path) if path and usable else ("none", "")


def _authkey() -> bytes | None:
    """Return what proxies of a multiprocessing manager need in the worker, where multiprocessing is used at all."""
    process = sys.modules.get("multiprocessing.process")
    return None if process is None else bytes(process.current_process().authkey)


def _run(how: str, what: str) -> None:
    import runpy
    import types

    module = types.ModuleType("__mp_main__")
    found = (
        runpy.run_path(what, run_name="__mp_main__")
        if how == "path"
        else runpy.run_module(what, run_name="__mp_main__", alter_sys=True)
    )
    module.__dict__.update(found)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
