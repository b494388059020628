"""The way to a backend, step by step: name, TCP, TLS.

A request takes the same steps, but tells only that one of them failed.
"""

from __future__ import annotations

import socket
import ssl

import trio

from lipstream.doctor.findings import Finding, Result
from lipstream.upstream.client import Origin
from lipstream.upstream.tls import default_context

LIMIT = 10.0  # seconds for each step

_CERTIFICATE = (
    "name the file of its authority in SSL_CERT_FILE, if that is your own; else base_url or the "
    "certificate is wrong"
)
_NO_TLS = "is it a TLS port? Else write http:// in base_url"


async def reached(origin: Origin, place: str) -> list[Finding]:
    """What every step came to, up to the one that fails; ``place`` is where it is configured."""
    name = await _name(origin, place)
    if name.result is Result.FAILED:
        return [name]
    tcp, stream = await _tcp(origin)
    if stream is None:
        return [name, tcp]
    try:
        return [name, tcp, *([await _tls(origin, stream)] if origin.scheme == "https" else [])]
    finally:
        stream.socket.close()


async def _name(origin: Origin, place: str) -> Finding:
    host, began = origin.host, trio.current_time()
    advice = f"check {place}, and the DNS of this machine"
    with trio.move_on_after(LIMIT):
        try:
            found = await trio.socket.getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no host name"
            return Finding("name", Result.FAILED, f"{host} has no address: {reason}", advice)
        addresses = ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))
        took = trio.current_time() - began
        return Finding("name", Result.OK, f"{host} is at {addresses}", seconds=took)
    return Finding("name", Result.FAILED, f"{host}: no answer in {LIMIT:g} s", advice)


async def _tcp(origin: Origin) -> tuple[Finding, trio.SocketStream | None]:
    where, began = f"{origin.host}:{origin.port}", trio.current_time()
    with trio.move_on_after(LIMIT):
        try:
            stream = await trio.open_tcp_stream(origin.host, origin.port)
        except OSError as error:
            return _unconnected(where, error), None
        took = trio.current_time() - began
        return Finding("tcp", Result.OK, f"connected to {where}", seconds=took), stream
    advice = "is a firewall or a proxy in the way?"
    return Finding("tcp", Result.FAILED, f"{where} did not answer in {LIMIT:g} s", advice), None


def _unconnected(where: str, error: OSError) -> Finding:
    causes = getattr(error.__cause__, "exceptions", None) or [error.__cause__ or error]
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        detail = f"connection refused at {where}"
        return Finding("tcp", Result.FAILED, detail, "is the server running?")
    reasons = dict.fromkeys(getattr(cause, "strerror", None) or str(cause) for cause in causes)
    detail = f"no connection to {where}: {', '.join(reasons)}"
    return Finding("tcp", Result.FAILED, detail, "is there a way to it from this machine?")


async def _tls(origin: Origin, stream: trio.SocketStream) -> Finding:
    secured = trio.SSLStream(stream, default_context(), server_hostname=origin.host)
    began = trio.current_time()
    with trio.move_on_after(LIMIT):
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            return _insecure(error.__cause__)
        detail = f"the certificate is good, {secured.version()}"
        return Finding("tls", Result.OK, detail, seconds=trio.current_time() - began)
    return Finding("tls", Result.FAILED, f"no handshake in {LIMIT:g} s", _NO_TLS)


def _insecure(error: BaseException | None) -> Finding:
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = f"the certificate is not trusted: {error.verify_message}"
        return Finding("tls", Result.FAILED, detail, _CERTIFICATE)
    reason = getattr(error, "reason", None) or "the connection was closed"
    return Finding("tls", Result.FAILED, f"no handshake: {reason}", _NO_TLS)
