"""What may be run: a command and its surroundings, checked before anything is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.errors import InvalidRequestError, PolicyError, ResourceUnavailableError

Identity = tuple[int, int, list[int]]
"""The numbers of a user, of its main group, and of all its groups."""

MARK = b"FRAMEWORK_LEASE"
"""The variable by which recovery knows whose children are whose: tokens of leases, the innermost last."""

SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True, repr=False)
class Launch:
    """What is started, and how. It has no representation, because arguments and variables may be secret.

    Args:
        command: A program on PATH, or the path of one; text for a shell, when `shell` is true.
        arguments: Its arguments.
        environment: All of its variables; those of this process, when None.
        directory: Where it starts; where this process is, when None.
        stdin: What it reads: bytes, nothing when None, or `pipe` or `inherit`.
        stdout: Where its output goes: `capture`, `inherit` or `discard`.
        stderr: The same for its messages; or `stdout`.
        identity: Who it runs as; as this process does, when None.
        shell: Whether a shell reads the command.
        token: The token of its lease.
        path: The file to execute, where that was settled beforehand.
    """

    command: str
    arguments: Sequence[str]
    environment: Mapping[str, str] | None = None
    directory: str | None = None
    stdin: bytes | str | None = None
    stdout: str = "capture"
    stderr: str = "capture"
    identity: Identity | None = None
    shell: bool = False
    token: str = ""
    path: str | None = None

    @property
    def program(self) -> str:
        """The program that is executed."""
        return SHELL if self.shell else self.command

    @property
    def words(self) -> list[str]:
        """The program and its arguments."""
        # the shell calls itself by the name after its command, and the rest are its $1, $2, …
        return [SHELL, "-c", self.command, SHELL, *self.arguments] if self.shell else [self.command, *self.arguments]

    def variables(self) -> dict[bytes, bytes]:
        """Return all variables of the child."""
        if self.environment is None:
            return self.marked(surroundings())
        return self.marked({os.fsencode(name): os.fsencode(value) for name, value in self.environment.items()})

    def marked(self, variables: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Add the mark that this process inherited, if it did, and the child's own."""
        inherited = os.environb.get(MARK)
        token = self.token.encode()
        variables[MARK] = inherited + b":" + token if inherited else token
        return variables

    def found(self) -> str | None:
        """Return the full path of what would be run, looked for as the child would look; None if there is none."""
        if os.sep in self.program:
            return os.path.abspath(os.path.join(self.directory or os.curdir, self.program))
        variables = os.environ if self.environment is None else self.environment
        path = shutil.which(self.program, path=variables.get("PATH", os.defpath))
        return path and os.path.abspath(path)


def surroundings() -> dict[bytes, bytes]:
    """Return the variables of this process."""
    # what lies beneath the mapping, if it is as it has always been: copied in 1 us, through the mapping in 20
    beneath = getattr(os.environb, "_data", None)
    return dict(beneath) if isinstance(beneath, dict) else dict(os.environb)


def check(
    subject: str, command: str, arguments: Sequence[object], environment: Mapping[Any, Any], stdin: object
) -> None:
    """Refuse what no program could be given.

    Raises:
        InvalidRequestError: One of these has a value that it cannot have.
    """
    _check_command(subject, command)
    _check_arguments(subject, arguments)
    _check_environment(subject, environment)
    if isinstance(stdin, str) and stdin not in {"pipe", "inherit"}:
        raise InvalidRequestError(f"{subject} got stdin={stdin!r}; allowed: bytes, 'pipe', 'inherit' or None.")


def _check_command(subject: str, command: str) -> None:
    if not command or "\0" in command:
        raise InvalidRequestError(f"{subject} got the command {command!r}; allowed: the name or the path of a program.")


def _check_arguments(subject: str, arguments: Sequence[object]) -> None:
    # arguments may be secret, so they are named by position
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


def _check_environment(subject: str, environment: Mapping[Any, Any]) -> None:
    # values may be secret, so only names are shown
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
        leads = f", which is {path}" if path and path != launch.program else ""
        raise PolicyError(
            f"{subject} may not run {launch.program!r}{leads};"
            f" plugins.process.allowed_commands allows {', '.join(sorted(commands))}.",
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
            f"{subject} cannot run {launch.program!r}: it was not found on PATH.",
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


def identity(
    subject: str, user: str | int | None, group: str | int | None, groups: Sequence[object]
) -> Identity | None:
    """Return who a child runs as, None for the same as this process.

    Raises:
        InvalidRequestError: There is no such user or group.
        ResourceUnavailableError: Only root may choose.
    """
    if user is None and group is None and not groups:
        return None
    import grp  # reads files of the system, and is needed here only
    import pwd

    try:
        account = None if user is None else pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError):  # the last one for a NUL
        raise InvalidRequestError(f"{subject} got user={user!r}, whom this system does not know.") from None
    number = os.geteuid() if account is None else account.pw_uid
    main = os.getegid() if account is None else account.pw_gid
    if group is not None:
        main = _group_number(subject, group, grp)
    # without these a child of root would keep the groups of root
    others = [] if account is None else os.getgrouplist(account.pw_name, main)
    if groups:
        others = [main, *(_group_number(subject, one, grp) for one in groups)]
    if os.geteuid() != 0:
        raise ResourceUnavailableError(
            f"{subject} was to run as user {number} and group {main}, but this process runs as user {os.geteuid()}, and"
            " only root (0) may choose.",
            "Leave user, group and groups out, or run this program as root.",
        )
    return number, main, others or [main]


def _group_number(subject: str, group: object, grp: Any) -> int:
    try:
        number: int = (grp.getgrgid(group) if isinstance(group, int) else grp.getgrnam(group)).gr_gid
    except (KeyError, TypeError, OverflowError, ValueError):
        raise InvalidRequestError(f"{subject} got the group {group!r}, which this system does not know.") from None
    return number
