"""What a connection with TLS does, against real servers with certificates made for the test."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError
from framework.testing.cancellation import at_each_step
from plugin_network import NetworkProvider

pytestmark = pytest.mark.anyio

Serving = Callable[..., AbstractAsyncContextManager[int]]
Descriptors = Callable[[], set[tuple[str, str]]]
Settle = Callable[[], Awaitable[None]]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_lines_go_there_and_back(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str, host: str, version: str
) -> None:
    async with (
        serving(certificate, version=version) as port,
        await provider.create_tcp_connection("c", host, port, tls=True, tls_ca=authority) as connection,
    ):
        await connection.send(b"first\nsecond\n")
        assert await connection.receive_line() == b"first\n"
        assert await connection.receive_exactly(7) == b"second\n"
        assert connection.tls_version == version.replace("_", ".")


async def test_more_than_all_buffers_hold_arrives_whole(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    message = os.urandom(5 << 20).replace(b"\n", b" ") + b"\n"

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            writer.write(chunk)
            await writer.drain()

    async with (
        serving(certificate, handler=slow) as port,
        await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority) as one,
    ):
        sending = asyncio.create_task(one.send(message))
        received = b""
        while len(received) < len(message):
            received += await one.receive()
        await sending
    assert received == message


def said_of(name: str) -> str:
    return {
        "expired": "the server's certificate has expired",
        "other": "the server's certificate is for another host .*'localhost'",
        "lonely": "the server's certificate is self-signed",
        "stranger": "the server's certificate was signed by an authority that is not trusted here",
    }[name]


@pytest.mark.parametrize("wrong", ["expired", "other", "lonely", "stranger"])
async def test_a_certificate_that_is_wrong_is_refused_with_what_is_wrong(
    provider: NetworkProvider,
    serving: Serving,
    signed: Callable[..., str],
    self_signed: Callable[..., str],
    authority: str,
    certificate: str,
    descriptors_settle: Settle,
    wrong: str,
) -> None:
    parameters: dict[str, Any] = {"tls": True, "tls_ca": authority}
    if wrong == "expired":
        certificate = signed("expired", days=-1)
    elif wrong == "other":
        certificate = signed("other", "DNS:example.org")
    elif wrong == "lonely":
        certificate = self_signed("lonely", "subjectAltName=DNS:localhost")
    else:
        parameters = {"tls": True}  # the authorities of the system do not know ours

    async with serving(certificate) as port:
        with pytest.raises(ResourceUnavailableError, match=said_of(wrong)) as caught:
            await provider.create_tcp_connection("c", "localhost", port, **parameters)
        assert f"localhost:{port}" in caught.value.problem
        assert caught.value.remedy
        async with await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_verify=False) as one:
            await one.send(b"taken all the same\n")
            assert await one.receive_line() == b"taken all the same\n"

    await descriptors_settle()


async def test_the_name_asked_for_may_differ_from_the_host(
    provider: NetworkProvider, serving: Serving, signed: Callable[..., str], authority: str
) -> None:
    named: dict[str, Any] = {"tls": True, "tls_ca": authority, "tls_server_name": "example.org"}
    async with (
        serving(signed("other", "DNS:example.org")) as port,
        await provider.create_tcp_connection("c", "127.0.0.1", port, **named) as connection,
    ):
        assert connection.tls_version


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_server_that_wants_a_certificate_gets_it(
    provider: NetworkProvider,
    serving: Serving,
    signed: Callable[..., str],
    authority: str,
    certificate: str,
    version: str,
) -> None:
    client = signed("client")

    async with serving(certificate, clients=authority, version=version) as port:
        trusted: dict[str, Any] = {"tls": True, "tls_ca": authority, "tls_certificate": client}
        async with await provider.create_tcp_connection("c", "localhost", port, **trusted) as shown:
            await shown.send(b"hello\n")
            assert await shown.receive_line() == b"hello\n"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(("shown", "said"), [("", "client certificate"), ("stranger", "does not trust")])
async def test_a_server_that_refuses_the_client_says_why(
    provider: NetworkProvider,
    self_signed: Callable[..., str],
    authority: str,
    certificate: str,
    version: str,
    shown: str,
    said: str,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion[version]
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:  # not with asyncio, whose servers hang up without saying why
        accepted, _ = listener.accept()
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(accepted, server_side=True):
            pass

    trusted: dict[str, Any] = {"tls": True, "tls_ca": authority}
    if shown:
        trusted["tls_certificate"] = self_signed(shown)
    with listener:
        refusing = asyncio.create_task(asyncio.to_thread(refuse))
        # with TLS 1.3 the server refuses only after the handshake has ended for the client
        with pytest.raises(ResourceUnavailableError, match=said) as caught:
            async with await provider.create_tcp_connection(
                "d", "localhost", listener.getsockname()[1], **trusted
            ) as c:
                await c.receive()
        await refusing
    assert "tls_certificate" in caught.value.remedy


async def test_a_server_without_tls_is_named_as_that(provider: NetworkProvider) -> None:
    home = await provider.create_socket("home")
    connecting = asyncio.create_task(provider.create_tcp_connection("c", *home.address, tls=True))
    async with await home.accept() as stream:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with pytest.raises(ResourceUnavailableError, match="does not speak TLS"):
            await connecting


@pytest.mark.parametrize("reset", [False, True])
async def test_a_peer_that_ends_in_the_middle_of_the_handshake_is_told_from_others(
    provider: NetworkProvider, reset: bool, open_descriptors: Descriptors
) -> None:
    home = await provider.create_socket("home")
    before = open_descriptors()
    connecting = asyncio.create_task(provider.create_tcp_connection("c", *home.address, tls=True))
    stream = await home.accept()
    await stream.receive()
    if reset:
        stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()

    said = "during the handshake of TLS: Connection reset" if reset else "in the middle of the handshake"
    with pytest.raises(ResourceUnavailableError, match=said):
        await connecting
    assert open_descriptors() == before


async def test_a_handshake_that_is_never_answered_ends_in_time(
    provider: NetworkProvider, open_descriptors: Descriptors
) -> None:
    home = await provider.create_socket("home")
    before = open_descriptors()

    with pytest.raises(ResourceUnavailableError, match=r"no end of the handshake of TLS from .* within 0\.1 s"):
        await provider.create_tcp_connection("c", *home.address, tls=True, timeout=0.1)

    assert open_descriptors() == before


async def test_cancelling_at_each_step_leaves_nothing(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str, descriptors_settle: Settle
) -> None:
    async with serving(certificate) as port:
        parameters: dict[str, Any] = {"tls": True, "tls_ca": authority, "reuse": True}

        async def operation() -> Any:
            return await provider.create_tcp_connection("c", "localhost", port, **parameters)

        async with await operation():
            pass
        provider.idle.close_all()
        async for steps, resources in at_each_step(operation):
            for one in resources:
                one.discard()
                await one.release()
            assert provider.ledger.records() == (), steps
    await descriptors_settle()


async def test_a_cut_off_message_is_not_taken_for_a_finished_one(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of it")
        await writer.drain()
        await reader.readline()
        raw = writer.get_extra_info("socket")
        with socket.socket(fileno=os.dup(raw.fileno())) as bare:
            bare.shutdown(socket.SHUT_RDWR)  # no farewell of TLS

    async with serving(certificate, handler=cut) as port:
        one = await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority)
        assert await one.receive() == b"half of it"
        await one.send(b"\n")
        with pytest.raises(ResourceUnavailableError, match="may be cut off"):
            await one.receive()
        await one.release()


async def test_a_peer_that_finishes_in_order_is_a_plain_end(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    async def goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all of it")

    async with (
        serving(certificate, handler=goodbye) as port,
        await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority) as one,
    ):
        assert [await one.receive(), await one.receive()] == [b"all of it", b""]


async def test_the_peer_is_told_of_the_end(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    ends: asyncio.Queue[object] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ends.put(await reader.read())

    async with serving(certificate, handler=listen) as port:
        one = await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority)
        await one.send(b"the last word")
        await one.release()
        assert await ends.get() == b"the last word"


async def test_sending_that_was_cancelled_in_the_middle_is_not_gone_on_with(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(certificate, handler=silent) as port:
        one = await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority)
        sending = asyncio.create_task(one.send(bytes(64 << 20)))
        await anyio.wait_all_tasks_blocked()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        with pytest.raises(ResourceError, match="sending ended in the middle"):
            await one.send(b"something else")
        await one.release()


async def test_one_direction_alone_cannot_be_ended(
    provider: NetworkProvider, serving: Serving, authority: str, certificate: str
) -> None:
    async with (
        serving(certificate) as port,
        await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=authority) as one,
    ):
        with pytest.raises(InvalidRequestError, match="ends both directions together"):
            await one.send_eof()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tls_ca": "x.pem"}, "without tls=True"),
        ({"tls_verify": False}, "without tls=True"),
        ({"tls": True, "tls_ca": "x.pem", "tls_verify": False}, "would not use it"),
        ({"tls": True, "tls_key": "x.pem"}, "without tls_certificate"),
        ({"tls": True, "tls_ca": "/nowhere/x.pem"}, "'/nowhere/x.pem' for TLS: No such file"),
        ({"tls": True, "tls_ca": __file__}, "no certificates in PEM format"),
        ({"tls": True, "tls_certificate": __file__}, "no certificate with its unencrypted key"),
        ({"tls": True, "tls_server_name": ".wrong", "tls_verify": False}, "which no host can be called"),
    ],
)
async def test_parameters_that_cannot_be_are_refused(
    provider: NetworkProvider, wrong: dict[str, Any], said: str, open_descriptors: Descriptors
) -> None:
    home = await provider.create_socket("home")
    before = open_descriptors()

    with pytest.raises(InvalidRequestError, match=said):
        await provider.create_tcp_connection("c", *home.address, **wrong)

    assert open_descriptors() == before


async def test_a_renewed_file_is_read_again(
    provider: NetworkProvider,
    serving: Serving,
    self_signed: Callable[..., str],
    certificate: str,
    authority: str,
    tmp_path: Path,
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Path(self_signed("another")).read_bytes())
    async with serving(certificate) as port:
        with pytest.raises(ResourceUnavailableError):
            await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=str(trusted))

        for renewed in (authority, certificate):  # a certificate may also vouch for itself
            trusted.write_bytes(Path(renewed).read_bytes())
            async with await provider.create_tcp_connection("c", "localhost", port, tls=True, tls_ca=str(trusted)):
                pass
