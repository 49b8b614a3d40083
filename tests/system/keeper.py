"""The plugin `keeper`, whose kinds outlive the process that holds them; each way of undoing has one."""

import asyncio
import os
import subprocess

from framework import Plugin, Recovery, Resource, ResourceProvider, creates, hookimpl


class Kept(Resource):
    """Says when it is given back; waits before that for as long as there is a file named `wait`."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def _close(self) -> None:
        print(f"closing {self.name}", flush=True)
        while os.path.exists("wait"):
            await asyncio.sleep(0.01)
        self.end()
        print(f"closed {self.name}", flush=True)

    def end(self) -> None:
        os.unlink(self.path)


class Tree(Kept):
    def end(self) -> None:
        os.rmdir(self.path)


class Child(Kept):
    child: "subprocess.Popen[bytes]"

    def end(self) -> None:
        self.child.kill()
        self.child.wait()


class Bare(Kept):
    def end(self) -> None:
        """Nothing is there."""


class KeeperProvider(ResourceProvider):
    name = "keeper"

    @creates("keeper.file")
    async def create_file(self, name: str, size: int = 0) -> Kept:
        """A file here."""
        path = os.path.join(os.path.realpath("."), f"file-{self.token()}")
        self.intend(Recovery.UNLINK, path)
        with open(path, "xb") as file:
            file.truncate(size)
        return Kept(path)

    @creates("keeper.tree")
    async def create_tree(self, name: str) -> Tree:
        """A directory here."""
        path = os.path.join(os.path.realpath("."), f"tree-{self.token()}")
        self.intend(Recovery.RMTREE, path)
        os.mkdir(path)
        return Tree(path)

    @creates("keeper.child")
    async def create_child(self, name: str) -> Child:
        """A process."""
        token = self.token()
        self.intend(Recovery.KILL, token)
        carried = f"{os.environ.get('FRAMEWORK_LEASE', '')}:{token}"
        child = Child("")
        child.child = subprocess.Popen(["sleep", "600"], env={**os.environ, "FRAMEWORK_LEASE": carried})
        return child

    @creates("keeper.own")
    async def create_own(self, name: str) -> Kept:
        """A file here that only this provider knows how to give back."""
        path = os.path.join(os.path.realpath("."), f"own-{name}")
        self.intend(Recovery.PROVIDER, path)
        open(path, "xb").close()
        return Kept(path)

    @creates("keeper.bare")
    async def create_bare(self, name: str) -> Bare:
        """Nothing that outlives the process."""
        return Bare("")

    async def reclaim(self, path: str) -> None:
        """Remove the file of a process that died, unless there is one named `stuck`."""
        if os.path.exists("stuck"):
            raise OSError("it is stuck")
        if os.path.exists(path):
            os.unlink(path)


class Sample(Plugin):
    @hookimpl
    def register_resource_providers(self) -> list[ResourceProvider]:
        return [KeeperProvider()]
