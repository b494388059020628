"""Runs the application under Hypercorn's parts, from listening sockets to the last response.

Stands where Hypercorn's own ``worker_serve`` would: its configuration, sockets, lifespan and
protocols, our connections (:mod:`lipstream.server.tcp`), and a drain that ends as soon as there is
nothing left to wait for:

1. :meth:`Serving.drain`, or the first signal: the listening sockets are closed (at once, or after
   ``drain_delay``), idle connections too, responses in flight go on and are the last on their
   connection.
2. When the last one is complete, :func:`serve` returns.
3. After ``grace`` seconds ``on_grace_over`` is told, which should end what is left; a moment
   later it is cut. A second signal, or :meth:`Serving.end`, cuts at once.

One worker. Several would each call :func:`serve` with the same sockets.
"""

from __future__ import annotations

import functools
import logging
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import attrs
import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, LifespanState
from hypercorn.utils import repr_socket_addr, wrap_app

from lipstream.errors import ConfigError

SIGNALS = (signal.SIGTERM, signal.SIGINT)
MANY_REQUESTS = 2**62

SEND_BUFFER = 256 * 1024  # bytes; Linux takes twice as much

log = logging.getLogger("lipstream.server")

Listener = trio.SocketListener | trio.SSLListener[trio.SocketStream]
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@attrs.frozen
class ServeConfig:
    """Where to listen and how long to wait. Times are in seconds.

    Attributes:
        binds: ``host:port`` (port 0: a free one), ``[::1]:port``, ``unix:/path`` or ``fd://3``.
        certfile: With ``keyfile``, PEM files; the server then speaks TLS, and HTTP/2 by ALPN.
        drain_delay: How long a drain still accepts, so that load balancers can see from ``/readyz``
            that they should send nothing more.
        grace: What a drain gives to responses in flight.
        last_words: What they get after that to end in order.
        write_timeout: Without progress, towards a client that does not read.
        read_timeout: Without a byte, in the middle of a request's body; also for the whole of a TLS
            handshake.
        keep_alive_timeout: Between requests.
        max_head_bytes: Of a request line and its headers.
        sweep_interval: How exactly the times of idle connections are kept.
    """

    binds: Sequence[str] = ("127.0.0.1:8080",)
    certfile: str | None = None
    keyfile: str | None = None
    drain_delay: float = 0.0
    grace: float = 600.0
    last_words: float = 5.0
    write_timeout: float = 60.0
    read_timeout: float = 60.0
    keep_alive_timeout: float = 75.0
    max_head_bytes: int = 32 * 2**10
    backlog: int = 2048
    sweep_interval: float = 1.0


def _hypercorn_config(config: ServeConfig) -> Config:
    made = Config()
    made.bind = list(config.binds)
    made.certfile, made.keyfile = config.certfile, config.keyfile
    made.backlog = config.backlog
    made.keep_alive_timeout = config.keep_alive_timeout
    made.keep_alive_max_requests = MANY_REQUESTS
    made.h11_max_incomplete_size = config.max_head_bytes
    made.include_server_header = False
    made.errorlog = log
    made.accesslog = None
    made.ssl_handshake_timeout = config.read_timeout
    made.shutdown_timeout = config.last_words
    return made


def listen(config: ServeConfig) -> Sockets:
    """Opens the listening sockets.

    Raises:
        ConfigError: an address is taken, not ours, or not an address.
    """
    try:
        sockets = _hypercorn_config(config).create_sockets()
        for sock in sockets.secure_sockets + sockets.insecure_sockets:
            # Connections inherit it. It bounds what the kernel holds for a client that does not
            # read, and lets one that reads slowly show progress before the write deadline.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            sock.listen(config.backlog)
    except OSError as error:
        where = ", ".join(config.binds)
        raise ConfigError(f"cannot listen on {where}: {error.strerror or error}") from error
    return sockets


def _ssl_context(config: Config) -> ssl.SSLContext | None:
    try:
        return config.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        where = f"{config.certfile} with {config.keyfile}"
        raise ConfigError(f"cannot use the certificate {where}: {error}") from error


def _connections(config: ServeConfig) -> tuple[type[TCPServer], WorkerContext, Callable[[], None]]:
    """The class that serves a connection, what they share, and the sweep over them."""
    try:
        from lipstream.server import tcp
    except ImportError as error:
        reason = str(error)
    else:
        reason = tcp.misfit()
        if not reason:
            limits = tcp.Limits(
                config.write_timeout, config.read_timeout, config.keep_alive_timeout
            )
            context = tcp.EdgeContext(limits)
            return tcp.EdgeServer, context, context.sweep
    log.warning(
        "this Hypercorn does not fit (%s): serving with its own connections, which are slower, "
        "drain late and wait without end for a client that does not read",
        reason,
    )
    return TCPServer, WorkerContext(None), lambda: None


def _nothing(*_: object) -> None:
    return


@attrs.frozen
class Hooks:
    """Who is told how far the server is. All are called synchronously and must not raise.

    Attributes:
        on_ready: It listens.
        on_drain: It has been asked to drain; nothing is closed yet.
        on_grace_over: What is still in flight should end now.
    """

    on_ready: Callable[[Serving], None] = _nothing
    on_drain: Callable[[], None] = _nothing
    on_grace_over: Callable[[], None] = _nothing


class Serving:
    """A running server.

    Attributes:
        addresses: Where it listens, as URLs, with the real ports.
        is_draining: Whether it was asked to drain.
        open_connections: How many clients are connected.
    """

    def __init__(self, app: ASGIFramework, config: ServeConfig, hooks: Hooks) -> None:
        self.addresses: tuple[str, ...] = ()
        self.is_draining = False
        self.open_connections = 0
        self._config = config
        self._hooks = hooks
        self._hypercorn = _hypercorn_config(config)
        self._app = wrap_app(app, 0, "asgi")
        self._state: LifespanState = {}
        self._connection, self._context, self._sweep = _connections(config)
        self._drain_asked = trio.Event()
        self._scope = trio.CancelScope()  # of all connections

    def drain(self) -> None:
        """Stops accepting; the server ends when the responses in flight are complete."""
        if not self.is_draining:
            self.is_draining = True
            self._hooks.on_drain()
            self._drain_asked.set()

    def end(self) -> None:
        """Ends at once: every connection is cut."""
        self.drain()
        self._scope.cancel()

    # ------------------------------------------------------------ for serve() alone

    def open(self, sockets: Sockets) -> list[Listener]:
        """Makes listeners of sockets and learns their addresses."""
        context = _ssl_context(self._hypercorn)
        listeners: list[Listener] = []
        for sock in sockets.secure_sockets + sockets.insecure_sockets:
            name = repr_socket_addr(sock.family, sock.getsockname())
            plain = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
            if context is not None and sock in sockets.secure_sockets:
                self.addresses += (f"https://{name}",)
                listeners.append(trio.SSLListener(plain, context, https_compatible=True))
            else:
                self.addresses += (f"http://{name}",)
                listeners.append(plain)
        return listeners

    async def run(self, listeners: list[Listener], task_status: trio.TaskStatus[Serving]) -> None:
        """Accepts and serves until drained."""
        lifespan = Lifespan(self._app, self._hypercorn, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            await self._serve(listeners, task_status)
            await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()

    async def obey(
        self, signals: Sequence[signal.Signals], *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Drains on the first signal and ends on the second."""
        with trio.open_signal_receiver(*signals) as received:
            task_status.started()
            number = await anext(received)
            log.info("%s received", signal.Signals(number).name)
            self.drain()
            number = await anext(received)
            log.warning("%s received again: ending at once", signal.Signals(number).name)
            self.end()
            await trio.sleep_forever()  # the receiver stays: more of them must not kill

    async def _serve(
        self, listeners: list[Listener], task_status: trio.TaskStatus[Serving]
    ) -> None:
        async with trio.open_nursery() as service:
            service.start_soon(self._keep_time)
            with self._scope:
                async with trio.open_nursery() as connections:
                    accept = functools.partial(
                        trio.serve_listeners,
                        self._serve_one,
                        listeners,
                        handler_nursery=connections,
                    )
                    await self._accept(accept, task_status)
                    log.info("draining: %d connections are open", self.open_connections)
                    await self._context.terminated.set()
                    self._sweep()
                    service.start_soon(self._end_late)
            service.cancel_scope.cancel()

    async def _accept(
        self, accept: Callable[..., Awaitable[object]], task_status: trio.TaskStatus[Serving]
    ) -> None:
        async with trio.open_nursery() as accepting:
            await accepting.start(accept)
            log.info("listening on %s", ", ".join(self.addresses))
            task_status.started(self)
            self._hooks.on_ready(self)
            await self._drain_asked.wait()
            await trio.sleep(self._config.drain_delay)
            accepting.cancel_scope.cancel()  # which closes the listening sockets

    async def _serve_one(self, stream: Stream) -> None:
        """Serves a connection; whatever happens there, the server lives."""
        self.open_connections += 1
        try:
            await self._connection(
                self._app,
                self._hypercorn,
                self._context,
                self._state,
                cast(trio.SSLStream[trio.SocketStream], stream),
            )
        except* Exception:
            log.exception("a connection failed")
        finally:
            self.open_connections -= 1

    async def _keep_time(self) -> None:
        while True:
            await trio.sleep(self._config.sweep_interval)
            self._sweep()

    async def _end_late(self) -> None:
        await trio.sleep(self._config.grace)
        log.warning("the grace is over with %d connections open", self.open_connections)
        self._hooks.on_grace_over()
        await trio.sleep(self._config.last_words)
        self._scope.cancel()


async def serve(
    app: ASGIFramework,
    config: ServeConfig,
    hooks: Hooks = Hooks(),
    *,
    signals: Sequence[signal.Signals] = (),
    sockets: Sockets | None = None,
    task_status: trio.TaskStatus[Serving] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until drained. With ``nursery.start`` the caller gets the :class:`Serving`.

    Args:
        signals: The first of these drains, the second ends. None by default: signals are the
            process's.
        sockets: Listening sockets to use instead of opening some; closed in the end.

    Raises:
        ConfigError: it cannot listen, or a certificate cannot be used.
    """
    serving = Serving(app, config, hooks)
    sockets = sockets or listen(config)
    try:
        listeners = serving.open(sockets)
        async with trio.open_nursery() as nursery:
            if signals:
                await nursery.start(serving.obey, signals)
            await serving.run(listeners, task_status)
            nursery.cancel_scope.cancel()
    finally:
        for sock in sockets.secure_sockets + sockets.insecure_sockets:
            sock.close()


def run(app: ASGIFramework, config: ServeConfig, hooks: Hooks = Hooks()) -> None:
    """Serves until SIGTERM or SIGINT, in an event loop of its own."""
    trio.run(functools.partial(serve, app, config, hooks, signals=SIGNALS))
