"""The gate: a child waits in it until its limits are in force, and only then becomes what was asked for.

Nothing of ours may run between fork and exec, because other threads may hold locks there, and the system applies most
limits to a process that is there already. So a bare interpreter is started first. It runs `SOURCE`, which reads what to
become from a socket, and executes that; an error number comes back if it cannot, and the end of the socket if it did.
When the owner dies meanwhile, the socket ends and so does the interpreter.
"""

from __future__ import annotations

import errno
import marshal
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

SOURCE: Final = """
import _signal, marshal, posix, sys

link = int(sys.argv[1])
posix.set_inheritable(link, False)


def read(size):
    data = b""
    while len(data) < size:
        chunk = posix.read(link, size - len(data))
        if not chunk:
            posix._exit(125)
        data += chunk
    return data


paths, arguments, variables, identity = marshal.loads(read(int.from_bytes(read(8), "big")))
for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
    _signal.signal(number, _signal.SIG_DFL)
failure = 2
try:
    if identity:
        user, group, groups = identity
        posix.setgroups(groups)
        posix.setresgid(group, group, group)
        posix.setresuid(user, user, user)
    for path in paths:
        try:
            posix.execve(path, arguments, variables)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failure = error.errno
except MemoryError:
    failure = 12
except OSError as error:
    failure = error.errno
posix.write(link, b"%d" % failure)
posix._exit(127)
"""
"""Uses what is built into the interpreter only. The numbers are ENOENT and ENOMEM."""


def command(link: int) -> list[str]:
    """Return the command that waits at a socket.

    Raises:
        OSError: It is not known where this interpreter is.
    """
    if not sys.executable:
        raise OSError(errno.ENOTSUP, "sys.executable does not say which interpreter can be the gate")
    return [sys.executable, "-I", "-S", "-c", SOURCE, str(link)]


def go(
    link: socket.socket,
    paths: Sequence[str],
    arguments: Sequence[str],
    variables: Mapping[bytes, bytes],
    identity: tuple[int, int, list[int]] | None,
) -> None:
    """Say what to become.

    Raises:
        OSError: The gate has ended.
    """
    what = ([os.fsencode(path) for path in paths], [os.fsencode(one) for one in arguments], dict(variables), identity)
    payload = marshal.dumps(what)
    link.sendall(len(payload).to_bytes(8, "big") + payload)


def candidates(program: str, variables: Mapping[bytes, bytes]) -> list[str]:
    """Return the files to try, in order, as the system's own search would."""
    if os.sep in program:
        return [program]
    path = variables.get(b"PATH")
    directories = os.defpath.encode() if path is None else path
    return [os.path.join(os.fsdecode(one) or os.curdir, program) for one in directories.split(b":")]
