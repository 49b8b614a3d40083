"""Fixtures shared by the tests of this plugin."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

from plugin_network import NetworkProvider

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
EXTENSIONS = "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def provider() -> AsyncIterator[NetworkProvider]:
    provider = NetworkProvider()
    await provider.initialize()
    yield provider
    await provider.cleanup()


@pytest.fixture
def open_descriptors() -> Callable[[], set[tuple[str, str]]]:
    def read() -> set[tuple[str, str]]:
        found = set()
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                found.add((descriptor, os.readlink(f"/proc/self/fd/{descriptor}")))
            except FileNotFoundError:  # the descriptor of the listing itself
                continue
        return found

    return read


@pytest.fixture
def full_backlog() -> Iterator[tuple[str, int]]:
    """Host and port of a listener whose queue is full, so that connecting to it hangs."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(address)
        yield address
        for one in waiting:
            one.close()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so nobody else can take it, but not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def with_key(file: str) -> str:
    with open(f"{file}.key", encoding="ascii") as key, open(file, "a", encoding="ascii") as stream:
        stream.write(key.read())
    return file


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A function that makes a file with a certificate that nobody vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    folder = str(tmp_path_factory.mktemp("self_signed"))

    def make(name: str, *extensions: str) -> str:
        file = os.path.join(folder, f"{name}.pem")
        added = [part for one in extensions for part in ("-addext", one)]
        names = ["-subj", f"/CN={name}", "-keyout", f"{file}.key", "-out", file]
        openssl("req", "-x509", *KEY, "-days", "30", *names, *added)
        return with_key(file)

    return make


@pytest.fixture(scope="session")
def authority(self_signed: Callable[..., str]) -> str:
    """A file with the certificate of an authority, and its key."""
    return self_signed("authority", "keyUsage=critical,keyCertSign")


@pytest.fixture(scope="session")
def signed(authority: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A function that makes a file with a certificate that the authority vouches for, and its key."""
    folder = str(tmp_path_factory.mktemp("signed"))

    def make(name: str, hosts: str = "DNS:localhost,IP:127.0.0.1", days: int = 30) -> str:
        file = os.path.join(folder, f"{name}.pem")
        with open(f"{file}.ext", "w", encoding="ascii") as stream:
            stream.write(f"{EXTENSIONS}subjectAltName={hosts}\n")
        openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{file}.key", "-out", f"{file}.csr")
        by = ["-CA", authority, "-CAkey", authority, "-CAcreateserial", "-days", str(days)]
        openssl("x509", "-req", "-in", f"{file}.csr", *by, "-extfile", f"{file}.ext", "-out", file)
        return with_key(file)

    return make


@pytest.fixture(scope="session")
def certificate(signed: Callable[..., str]) -> str:
    """A file with a good certificate of this machine, and its key."""
    return signed("server")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say every line again."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


@pytest.fixture
def serving() -> Callable[..., AbstractAsyncContextManager[int]]:
    """A function that runs a server of this machine, one with TLS if it has a certificate, and gives its port."""

    @contextlib.asynccontextmanager
    async def serve(
        certificate: str = "", clients: str = "", handler: Handler = echo, version: str = "TLSv1_3"
    ) -> AsyncIterator[int]:
        context: ssl.SSLContext | None = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            context.maximum_version = ssl.TLSVersion[version]
            if clients:
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
        tasks: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # there is one: this is it
            try:
                with contextlib.suppress(OSError):
                    await handler(reader, writer)
                    writer.close()
                    await writer.wait_closed()
            finally:
                writer.transport.abort()

        # a handshake that fails is what some of the tests are about
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(10):
                await asyncio.sleep(0)  # what was aborted is closed in one of the next turns

    return serve


@pytest.fixture
def descriptors_settle(
    open_descriptors: Callable[[], set[tuple[str, str]]],
) -> Callable[[], Awaitable[None]]:
    """A function that waits until no more descriptors are open than when the test began; servers close theirs late."""
    before = open_descriptors()

    async def settle() -> None:
        async with asyncio.timeout(5):
            while len(open_descriptors()) > len(before):
                await asyncio.sleep(0)

    return settle
