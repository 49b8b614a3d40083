"""What the kill tests lend: one kind for each way of being undone. And where it all is, and what is left of it.

Nothing here is awaited, so each acquire and each release is a row of system calls, between any two of which a kill can
come.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass

from framework import Recovery, Resource, ResourceProvider, creates
from framework.recovery import children

SHM = "/dev/shm"
CGROUPS = "/sys/fs/cgroup/unified"
WITH_GROUPS = "KILLING_WITH_GROUPS"
"""Set where no other test runs meanwhile: control groups cannot be hidden from one that looks for what is left."""


@dataclass(frozen=True)
class Places:
    """Where things are made; all of it private to the test."""

    root: str
    groups: str = ""
    """A control group of the test's own, or nothing where none can be made."""

    @property
    def files(self) -> str:
        """The folder of files and folders."""
        return os.path.join(self.root, "files")

    @property
    def journals(self) -> str:
        """The folder of journals, as `XDG_STATE_HOME` makes it."""
        return os.path.join(self.root, "state", "framework", "leases")


def enter(root: str) -> Places:
    """Make this process' surroundings private: it must be in namespaces of its own for processes and mounts."""
    assert os.getpid() == 1, "to be run by unshare --pid --fork --mount-proc"
    for place in (SHM, root):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "none", place], check=True)
    os.environ["XDG_STATE_HOME"] = os.path.join(root, "state")
    places = Places(root, _group())
    os.mkdir(places.files)
    return places


def leave(places: Places) -> None:
    """Remove what does not go away with the namespaces, also after a failure."""
    if places.groups:
        with open(os.path.join(places.groups, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")
        for one in os.scandir(places.groups):
            if one.is_dir():
                os.rmdir(one.path)
        os.rmdir(places.groups)


def _group() -> str:
    if WITH_GROUPS not in os.environ:
        return ""
    place = os.path.join(CGROUPS, f"framework-kill-{os.urandom(8).hex()}")
    with contextlib.suppress(OSError):
        os.mkdir(place)
        return place
    return ""


class Made(Resource):
    """Something that was made; how it is undone is its own."""

    def __init__(self, path: str) -> None:
        self.path = path


class File(Made):
    """A file whose name has the token."""

    def _close(self) -> None:
        os.unlink(self.path)


class Folder(Made):
    """A folder whose name has the token, with something in it."""

    def _close(self) -> None:
        os.unlink(f"{self.path}/inner/file")
        os.rmdir(f"{self.path}/inner")
        os.rmdir(self.path)


class Segment(Made):
    """Shared memory under a name that somebody chose."""

    def __init__(self, path: str, descriptor: int) -> None:
        super().__init__(path)
        self.descriptor = descriptor

    def _close(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self.path), os.fstat(self.descriptor)):
                os.unlink(self.path)
        os.close(self.descriptor)


class Child(Resource):
    """A process that ends only when it is told to."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def _close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Group(Child):
    """A control group with a process in it."""

    def __init__(self, pid: int, path: str) -> None:
        super().__init__(pid)
        self.path = path

    def _close(self) -> None:
        super()._close()
        os.rmdir(self.path)


def spawn(token: str) -> int:
    """Start a process that carries a token."""
    carried = os.environ.get(children.VARIABLE, "")
    environment = {**os.environ, children.VARIABLE: f"{carried}:{token}" if carried else token}
    return os.posix_spawn("/bin/sleep", ["sleep", "1000"], environment)


class Kinds(ResourceProvider):
    """Provides all of them."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    @creates("kill.file")
    async def create_file(self, name: str) -> File:
        """A file."""
        path = os.path.join(self.places.files, f"{name}-{self.token()}")
        self.intend(Recovery.UNLINK, path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return File(path)

    @creates("kill.folder")
    async def create_folder(self, name: str) -> Folder:
        """A folder."""
        path = os.path.join(self.places.files, f"{name}-{self.token()}")
        self.intend(Recovery.RMTREE, path)
        os.mkdir(path, 0o700)
        os.mkdir(f"{path}/inner", 0o700)
        os.close(os.open(f"{path}/inner/file", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return Folder(path)

    @creates("kill.segment")
    async def create_segment(self, name: str) -> Segment:
        """Shared memory."""
        path = os.path.join(SHM, name)
        descriptor = os.open(SHM, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, 4096)
            found = os.fstat(descriptor)
            proof = f"inode:{found.st_dev}:{found.st_ino}"
            self.intend(Recovery.UNLINK, path, proof=proof, volatile=True)
            directory = os.open(SHM, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
            finally:
                os.close(directory)
        except BaseException:
            os.close(descriptor)
            raise
        return Segment(path, descriptor)

    @creates("kill.child")
    async def create_child(self, name: str) -> Child:
        """A process."""
        token = self.token()
        self.intend(Recovery.KILL, token, volatile=True)
        return Child(spawn(token))

    @creates("kill.group")
    async def create_group(self, name: str) -> Group:
        """A control group."""
        token = self.token()
        path = os.path.join(self.places.groups, f"x-{token}")
        self.intend(Recovery.RMDIR, path)
        self.intend(Recovery.KILL, token, volatile=True)
        os.mkdir(path)
        pid = spawn(token)
        with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(pid))
        return Group(pid, path)


def kinds_of(places: Places) -> list[str]:
    """Return the kinds that can be had here."""
    return [kind.kind for kind in Kinds.kinds() if places.groups or kind.kind != "kill.group"]


def remains(places: Places) -> dict[str, list[str]]:
    """Return what is there now, by sort: names, and numbers of processes that carry a token."""
    reap()
    groups = [one.name for one in os.scandir(places.groups) if one.is_dir()] if places.groups else []
    return {
        "segments": sorted(os.listdir(SHM)),
        "files": sorted(os.listdir(places.files)),
        "processes": sorted(carriers()),
        "groups": sorted(groups),
        "journals": sorted(os.listdir(places.journals)),
    }


def carriers() -> list[str]:
    """Return the numbers of all processes that carry any token."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and children.VARIABLE.encode() in open(f"/proc/{name}/environ", "rb").read():  # noqa: SIM115
                found.append(name)
    return found


def reap() -> list[int]:
    """Ask for the exit codes of orphans, as the first process must; return which processes have ended."""
    ended = []
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
            ended.append(pid)
    return ended
