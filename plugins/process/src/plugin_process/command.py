"""What may be run: a command and its surroundings, checked before anything is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError


@dataclass(frozen=True, slots=True, repr=False)
class Launch:
    """What is started, and how. It has no representation, because arguments and variables may be secret.

    Args:
        command: A program on PATH, or the path of one.
        arguments: Its arguments.
        variables: All of its variables; those of this process, when None.
        directory: Where it starts; where this process is, when None.
        stdin: What it reads; nothing, when None.
        path: The file to execute, where that was settled beforehand.
    """

    command: str
    arguments: Sequence[str]
    variables: Mapping[str, str] | None = None
    directory: str | None = None
    stdin: bytes | None = None
    path: str | None = None

    def found(self) -> str | None:
        """Return the full path of what would be run, looked for as the child would look; None if there is none."""
        if os.sep in self.command:
            return os.path.abspath(os.path.join(self.directory or os.curdir, self.command))
        variables = os.environ if self.variables is None else self.variables
        path = shutil.which(self.command, path=variables.get("PATH", os.defpath))
        return path and os.path.abspath(path)


def check_command(subject: str, command: str) -> None:
    """Refuse a command that nothing could be called.

    Raises:
        InvalidRequestError: It is empty or has a NUL in it.
    """
    if not command or "\0" in command:
        raise InvalidRequestError(f"{subject} got the command {command!r}; allowed: the name or the path of a program.")


def check_arguments(subject: str, arguments: Sequence[object]) -> None:
    """Refuse arguments that no program could be given. They may be secret, so they are named by position.

    Raises:
        InvalidRequestError: One is not a string, or has a NUL in it.
    """
    for position, argument in enumerate(arguments, 1):
        if not isinstance(argument, str):
            raise InvalidRequestError(
                f"{subject} got a {type(argument).__name__} as argument {position}; allowed: strings.",
                "Convert it with str().",
            )
        if "\0" in argument:
            raise InvalidRequestError(
                f"{subject} got a NUL character in argument {position}; arguments cannot hold one.", "Leave it out."
            )


def check_environment(subject: str, environment: Mapping[Any, Any]) -> None:
    """Refuse variables that no program could be given. Values may be secret, so only names are shown.

    Raises:
        InvalidRequestError: A name or value is not a string, or has a character in it that cannot be there.
    """
    for name, value in environment.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidRequestError(
                f"{subject} got env[{name!r}], a {type(value).__name__}; allowed: strings by strings.",
                "Convert it with str().",
            )
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InvalidRequestError(
                f"{subject} got env[{name!r}]; a name needs a character and has no '=', and neither it nor its value"
                " can hold a NUL.",
                "Leave it out, or encode the value.",
            )


def allowed(subject: str, launch: Launch, commands: Sequence[str]) -> Launch:
    """Return the launch with its path settled.

    What counts is the file that would be run, so that neither another PATH nor another directory gets around the list.

    Raises:
        PolicyError: The command is not listed.
    """
    path = launch.found()
    if path is None or path not in {os.path.abspath(shutil.which(one) or one) for one in commands}:
        raise PolicyError(
            f"{subject} may not run {launch.command!r}{f', which is {path}' if path else ''};"
            f" process.allowed_commands allows {', '.join(sorted(commands))}.",
            "Run one of these, or have the command added to the setting.",
        )
    return replace(launch, path=path)


def diagnosis(subject: str, launch: Launch) -> ResourceUnavailableError | None:
    """Return the error that says what keeps a command from running, None if that cannot be seen from here."""
    directory = launch.directory
    if directory is not None and not (os.path.isdir(directory) and os.access(directory, os.X_OK)):
        problem = "is closed to this user" if os.path.isdir(directory) else "is not a directory that exists"
        return ResourceUnavailableError(
            f"{subject} got working_directory={directory!r}, which {problem}.", "Create it, or choose another one."
        )
    path = launch.found()
    if path is None:
        return ResourceUnavailableError(
            f"{subject} cannot run {launch.command!r}: it was not found on PATH.",
            "Install it, pass its full path, or add its directory to PATH.",
        )
    for fails, what, remedy in (
        (not os.path.exists(path), "there is no such file", "Check its spelling."),
        (os.path.isdir(path), "it is a directory", "Name a program in it."),
        (
            not os.access(path, os.X_OK),
            "it is not executable",
            "Make it executable (chmod +x), or run its interpreter with it as an argument.",
        ),
    ):
        if fails:
            return ResourceUnavailableError(f"{subject} cannot run {path!r}: {what}.", remedy)
    return None
