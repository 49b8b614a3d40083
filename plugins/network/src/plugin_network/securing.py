"""TLS: what a request may ask for, the handshake, and what its failures mean."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from dataclasses import dataclass, replace

import anyio
import anyio.to_thread

from framework.errors import InvalidRequestError, ResourceError, ResourceUnavailableError

CONTEXT_LIMIT = 64
"""Most combinations of certificates that are kept ready; reading the authorities of a system takes milliseconds."""

_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
_CERTIFICATES = {
    9: ("is not valid yet", "Check this machine's clock, and the certificate's dates."),
    10: ("has expired", "Have the server's certificate renewed, and check this machine's clock."),
    18: ("is self-signed", "Pass the certificate as tls_ca, if it is the right one."),
    19: ("was signed by an authority that is not trusted here", "Pass the authority's certificate as tls_ca."),
    20: ("was signed by an authority that is not trusted here", "Pass the authority's certificate as tls_ca."),
    21: ("comes without those that link it to a trusted authority", "Pass the authority's certificate as tls_ca."),
    62: ("is for another host", "Connect by a name that it is for, or pass that as tls_server_name."),
    64: ("is for another address", "Connect by a name that it is for, or pass that as tls_server_name."),
}
_REFUSALS = {
    "CERTIFICATE_REQUIRED": ("wants a client certificate", "Pass one as tls_certificate."),
    "UNKNOWN_CA": ("does not trust this end's certificate", "Pass one that it trusts as tls_certificate."),
    "BAD_CERTIFICATE": ("does not accept this end's certificate", "Pass one that it trusts as tls_certificate."),
    "CERTIFICATE_EXPIRED": ("found this end's certificate expired", "Renew the certificate in tls_certificate."),
    "HANDSHAKE_FAILURE": (
        "has no version or cipher in common with this end, or wants a client certificate",
        "Pass one as tls_certificate, or have the server's settings changed.",
    ),
    "PROTOCOL_VERSION": ("has no TLS version in common with this end", "Have TLS 1.2 or 1.3 enabled there."),
    "UNRECOGNIZED_NAME": ("does not serve the name asked for", "Pass a name that it serves as tls_server_name."),
}


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is secured; connections that are secured alike may stand in for each other."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True

    def check(self, subject: str, *, wanted: bool) -> Tls | None:
        """Return this, or nothing where no TLS is wanted.

        Raises:
            InvalidRequestError: The parameters contradict each other.
        """
        if not wanted and self != Tls():
            raise InvalidRequestError(f"{subject} got parameters of TLS without tls=True.", "Pass tls=True as well.")
        if self.ca and not self.verify:
            raise InvalidRequestError(
                f"{subject} got tls_ca with tls_verify=False, which would not use it.", "Leave one of them out."
            )
        if self.key and not self.certificate:
            raise InvalidRequestError(
                f"{subject} got tls_key without tls_certificate.", "Pass the certificate that the key belongs to."
            )
        if self.server_name:
            _check_name(subject, self.server_name)
        return self if wanted else None

    def files(self, subject: str) -> tuple[object, ...]:
        """Return what changes when one of the files does; what was secured by the former ones is another thing then.

        Raises:
            InvalidRequestError: One cannot be read.
        """
        return tuple(_stamp(subject, path) for path in (self.ca, self.certificate, self.key) if path)


class Contexts:
    """Keeps certificates ready that were read, until their files change."""

    def __init__(self) -> None:
        self._made: dict[object, ssl.SSLContext] = {}

    async def get(self, subject: str, tls: Tls) -> ssl.SSLContext:
        """Return a context for connections that are secured in some way.

        Raises:
            InvalidRequestError: A file cannot be read, or does not hold what it should.
        """
        key = replace(tls, server_name=""), *tls.files(subject)
        if key not in self._made:
            context = await anyio.to_thread.run_sync(_context, subject, tls)
            while len(self._made) >= CONTEXT_LIMIT:
                del self._made[next(iter(self._made))]
            self._made[key] = context
        return self._made[key]


async def secure(sock: socket.socket, context: ssl.SSLContext, server_name: str) -> ssl.SSLSocket:
    """Return a connected socket with TLS on it; the socket is closed if that fails.

    Raises:
        OSError: The handshake failed.
    """
    secured: ssl.SSLSocket | None = None
    try:
        secured = context.wrap_socket(
            sock, server_hostname=server_name, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        while True:
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                await anyio.wait_readable(secured)
            except ssl.SSLWantWriteError:
                await anyio.wait_writable(secured)
    except BaseException:
        (secured or sock).close()
        raise
    return secured


def close(sock: socket.socket) -> None:
    """Close a socket; one with TLS tells its peer that nothing was cut off."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):  # the peer's answer is not waited for
            sock.unwrap()
    sock.close()


def is_quiet(sock: socket.socket) -> bool:
    """Return whether a non-blocking socket is connected and has nothing to say. What it has to say is lost."""
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False  # it sent something unasked, or has finished


def failure(problem: str, error: ssl.SSLError, *, connected: bool) -> ResourceError:
    """Return the error to raise for what went wrong with TLS, after or during the handshake."""
    what, remedy = _explained(error, connected)
    return ResourceUnavailableError(f"{problem}: {what}.", remedy)


def _explained(error: ssl.SSLError, connected: bool) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        said, remedy = _CERTIFICATES.get(error.verify_code, ("is not valid", "Have the server's certificate checked."))
        return f"the server's certificate {said} ({error.verify_message.rstrip('.')})", remedy
    if isinstance(error, ssl.SSLEOFError):
        hint = "Check what the server says; it may want a client certificate, or not speak TLS there."
        if not connected:
            return "the peer ended the connection in the middle of the handshake of TLS", hint
        return "the peer ended the connection without a farewell, so what it sent may be cut off", hint
    reason = error.reason or ""
    if reason in _NO_TLS:
        return f"the peer does not speak TLS there ({reason})", "Check the port, or leave tls out."
    for alert, (said, remedy) in _REFUSALS.items():
        if "ALERT" in reason and reason.endswith(alert):
            return f"the server {said} ({reason})", remedy
    return f"TLS failed ({reason or error})", "Check what the server says, and its settings for TLS."


def _check_name(subject: str, name: str) -> None:
    try:
        if name.isprintable() and not name.startswith(".") and name.encode("idna"):
            return
        reason = "it has no name before a dot, or control characters"
    except UnicodeError as error:
        reason = str(error)
    raise InvalidRequestError(
        f"{subject} got tls_server_name={name[:60]!r}, which no host can be called ({reason}).", "Check its spelling."
    )


def _stamp(subject: str, path: str) -> tuple[str, int, int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(subject, path, getattr(error, "strerror", None) or str(error)) from error
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def _context(subject: str, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.verify:
        try:
            context = ssl.create_default_context(cafile=tls.ca or None)
        except OSError as error:
            raise _unreadable(subject, tls.ca, f"it holds no certificates in PEM format ({error})") from error
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is passed is trusted, as by default from 3.13 on
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # so that sending never has to wait for something to be received
    if tls.certificate:
        try:
            context.load_cert_chain(tls.certificate, tls.key or None, password=_no_password)
        except (OSError, ValueError) as error:
            files = " and ".join(filter(None, (tls.certificate, tls.key)))
            raise _unreadable(subject, files, f"no certificate with its unencrypted key ({error})") from error
    return context


def _no_password() -> str:
    # without this, OpenSSL would ask for it on the terminal
    msg = "the key is encrypted"
    raise ValueError(msg)


def _unreadable(subject: str, path: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{subject} cannot use {path!r} for TLS: {reason}.", "Pass a readable file in PEM format."
    )
