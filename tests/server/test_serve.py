"""Starting, draining and ending a server, and what must not end it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypercorn.config import Config

from lipstream.errors import ConfigError
from lipstream.server import tcp
from lipstream.server.app import Readiness
from lipstream.server.downstream import Downstream
from lipstream.server.serve import Hooks, ServeConfig, Serving, serve
from tests.server.wire import (
    ASK,
    POST_CHAT,
    SSE_LINES,
    Client,
    Watched,
    app_for,
    connect,
    echo,
    serving,
    until,
)

ANYWHERE = ServeConfig(binds=("127.0.0.1:0",), sweep_interval=0.05)


@attrs.define
class Steps:
    """Streams one piece, and one more for each time it is let go."""

    go_on: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, downstream: Downstream) -> None:
        """Serves one request."""
        await downstream.read_body(100)
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"first")
        await self.go_on.wait()
        await downstream.send(b"last")
        await downstream.finish()


# ---------------------------------------------------------------- listening


async def test_port_0_is_reported_as_the_real_port() -> None:
    """Whoever starts a server on any free port learns which."""
    async with serving(app_for(echo), binds=("127.0.0.1:0", "127.0.0.1:0")) as server:
        assert len(set(server.addresses)) == 2
        for address in server.addresses:
            assert address.startswith("http://127.0.0.1:")
            assert not address.endswith(":0")
        assert (await (await connect(server)).ask(ASK)).status == 200


async def test_unix_socket_is_served(tmp_path: Path) -> None:
    """Its clients have no address."""
    path = tmp_path / "s"
    async with (
        serving(app_for(echo), binds=(f"unix:{path}",)),
        await trio.open_unix_socket(str(path)) as stream,
    ):
        assert (await Client(stream).ask(ASK)).body == b"{}"


async def test_given_sockets_are_used_and_closed() -> None:
    """The seam for several workers, and for whoever passes sockets in."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    sockets = config.create_sockets()
    sockets.insecure_sockets[0].listen()
    port = sockets.insecure_sockets[0].getsockname()[1]
    async with trio.open_nursery() as nursery:

        async def start(*, task_status: trio.TaskStatus[Serving]) -> None:
            await serve(app_for(echo), ANYWHERE, sockets=sockets, task_status=task_status)

        server: Serving = await nursery.start(start)
        assert server.addresses == (f"http://127.0.0.1:{port}",)
        server.drain()
    assert sockets.insecure_sockets[0].fileno() == -1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_taken_port_is_a_configuration_error() -> None:
    """The text says which. (Hypercorn leaves the socket that it could not bind to the collector,
    which warns of it.)"""
    async with serving(app_for(echo)) as server:
        bind = server.addresses[0].removeprefix("http://")
        with pytest.raises(ConfigError, match=f"cannot listen on {bind}: Address already in use"):
            await serve(app_for(echo), ServeConfig(binds=(bind,)))


async def test_missing_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    """Found before anything is accepted."""
    config = attrs.evolve(ANYWHERE, certfile=str(tmp_path / "no"), keyfile=str(tmp_path / "no"))
    with pytest.raises(ConfigError, match="cannot use the certificate"):
        await serve(app_for(echo), config)


async def test_application_is_started_and_stopped_around_the_serving() -> None:
    """Quart's own hooks run."""
    app, seen = app_for(echo), []

    @app.before_serving
    async def start() -> None:
        seen.append("start")

    @app.after_serving
    async def stop() -> None:
        seen.append("stop")

    async with serving(app):
        assert seen == ["start"]
    assert seen == ["start", "stop"]


# ---------------------------------------------------------------- draining


async def test_drain_stops_accepting_at_once_and_lets_streams_finish() -> None:
    """A stream in flight is the last response on its connection."""
    handler, drained = Steps(), []
    async with trio.open_nursery() as nursery:
        hooks = Hooks(on_drain=lambda: drained.append(True))
        config = attrs.evolve(ANYWHERE, grace=math.inf)
        server: Serving = await nursery.start(serve, app_for(handler), config, hooks)
        client = await connect(server)
        await client.send(ASK)
        await client.until(b"first")
        server.drain()
        server.drain()
        await trio.sleep(0.05)
        with pytest.raises(OSError, match="refused"):
            await connect(server)
        handler.go_on.set()
        rest = await client.rest()
    assert rest.endswith(b"last\r\n0\r\n\r\n")
    assert (server.is_draining, drained) == (True, [True])


async def test_response_that_begins_while_draining_says_that_it_is_the_last() -> None:
    """So that a client does not send its next request into a closed connection."""
    is_open = trio.Event()

    async def handler(downstream: Downstream) -> None:
        await is_open.wait()
        await echo(downstream)

    async with serving(app_for(handler), grace=math.inf) as server:
        client = await connect(server)
        await client.send(ASK)
        await trio.sleep(0.05)
        server.drain()
        await trio.sleep(0.05)
        is_open.set()
        reply = await client.reply()
        assert (reply.body, reply.headers["connection"]) == (b"{}", "close")
        assert await client.rest() == b""


async def test_readiness_says_draining_before_the_sockets_close() -> None:
    """A load balancer that asks in time never meets a closed port."""
    running: list[Serving] = []
    app = app_for(echo, readiness=lambda: Readiness(is_draining=running[0].is_draining))
    async with serving(app, drain_delay=0.3) as server:
        running.append(server)
        get = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"
        assert (await (await connect(server)).ask(get)).status == 200
        server.drain()
        reply = await (await connect(server)).ask(get)
        assert (reply.status, reply.json()["status"]) == (503, "draining")


async def test_grace_is_followed_by_last_words_and_the_end() -> None:
    """What is in flight after the grace is told first, then cut."""
    told, handler = [], Watched(pause=0.02)
    hooks = Hooks(on_grace_over=lambda: told.append(trio.current_time()))
    async with trio.open_nursery() as nursery:
        config = attrs.evolve(ANYWHERE, grace=0.2, last_words=0.2)
        server: Serving = await nursery.start(serve, app_for(handler), config, hooks)
        client = await connect(server)
        await client.send(ASK)
        await client.until(b"data: x")
        drained_at = trio.current_time()
        server.drain()
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        ended_at = trio.current_time()
    assert len(told) == 1
    assert told[0] - drained_at >= 0.2
    assert ended_at - told[0] >= 0.19
    assert handler.running == 0


async def test_last_words_reach_the_client() -> None:
    """A handler that ends its stream in time ends it in order."""
    is_late = trio.Event()
    handler = Steps(is_late)
    hooks = Hooks(on_grace_over=is_late.set)
    async with trio.open_nursery() as nursery:
        config = attrs.evolve(ANYWHERE, grace=0.1, last_words=math.inf)
        server: Serving = await nursery.start(serve, app_for(handler), config, hooks)
        client = await connect(server)
        await client.send(ASK)
        await client.until(b"first")
        server.drain()
        assert (await client.rest()).endswith(b"last\r\n0\r\n\r\n")


async def test_stock_connections_end_with_the_grace() -> None:
    """Also where our own connections do not fit, every server ends."""
    handler = Watched()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tcp, "misfit", lambda: "the test asks for it")
        async with serving(app_for(handler), grace=0.1, last_words=0.1) as server:
            client = await connect(server)
            await client.send(ASK)
            await client.until(b"data: x")
            server.drain()
            await until(lambda: server.open_connections == 0)


# ---------------------------------------------------------------- living on


async def test_application_that_fails_is_a_500_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever application it is: the connection goes on to live."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("the bug")

    async with serving(app) as server:
        client = await connect(server)
        assert (await client.ask(ASK)).status == 500
    assert "ZeroDivisionError: the bug" in caplog.text


async def test_connection_that_fails_does_not_end_the_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of ours costs one connection, and is logged."""
    async with serving(app_for(echo)) as server:
        with monkeypatch.context() as patch:

            async def fail(self: tcp.EdgeServer) -> None:
                raise ZeroDivisionError("the bug")

            patch.setattr(tcp.EdgeServer, "_read_data", fail)
            assert await (await connect(server)).rest() == b""
        assert (await (await connect(server)).ask(ASK)).status == 200
    assert "ZeroDivisionError: the bug" in caplog.text


def _in_use() -> tuple[int, int]:
    """Descriptors and tasks."""
    return len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living


async def test_two_hundred_streams_whose_clients_vanish_leave_nothing() -> None:
    """No task, no descriptor, no connection."""
    handler = Watched(pause=0.05)
    async with serving(app_for(handler)) as server:
        await (await connect(server)).ask(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        before = _in_use()
        clients = [await connect(server) for _ in range(200)]
        for client in clients:
            await client.send(ASK)
        await handler.started(200)
        for index, client in enumerate(clients):
            client.leave() if index % 2 else client.reset()
        assert len(await handler.told(200)) == 200
        await until(lambda: server.open_connections == 1)
        await until(lambda: all(now <= then for now, then in zip(_in_use(), before, strict=True)))


# ---------------------------------------------------------------- signals

PROGRAM = """
from tests.server.test_serve import slow_app
from lipstream.server.serve import Hooks, ServeConfig, run

hooks = Hooks(on_ready=lambda serving: print(serving.addresses[0], flush=True))
run(slow_app(), ServeConfig(binds=("127.0.0.1:0",), grace=60), hooks)
print("ended")
"""


def slow_app() -> Any:
    """Streams for ever, or for half a second where the path says so."""

    async def briefly(downstream: Downstream) -> None:
        await downstream.send_head(200, SSE_LINES)
        await downstream.send(b"first")
        await trio.sleep(0.5)
        await downstream.send(b"last")
        await downstream.finish()

    async def for_ever(downstream: Downstream) -> None:
        await Watched()(downstream)

    return app_for(for_ever, (("POST", "/v1/briefly"), briefly))


@contextmanager
def process() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            assert started.stdout is not None
            yield started, int(started.stdout.readline().rpartition(":")[2])
        finally:
            started.kill()


async def open_client(port: int, request: bytes) -> Client:
    """A client whose response has begun."""
    client = Client(await trio.open_tcp_stream("127.0.0.1", port))
    await client.send(request)
    await client.until(b"\r\n\r\n")
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_drains_and_the_process_ends_with_the_last_stream(
    number: signal.Signals,
) -> None:
    """Neither at once nor after the whole grace, and without an error."""
    with process() as (server, port):
        request = POST_CHAT.replace(b"/v1/chat/completions", b"/v1/briefly") + b"\r\n"
        client = await open_client(port, request)
        async with client.stream:
            signalled_at = time.monotonic()
            server.send_signal(number)
            assert (await client.rest()).endswith(b"last\r\n0\r\n\r\n")
            out, err = await trio.to_thread.run_sync(lambda: server.communicate(timeout=10))
        assert (server.returncode, out, err) == (0, "ended\n", "")
        assert time.monotonic() - signalled_at < 10


async def test_signals_are_obeyed_where_they_are_asked_for() -> None:
    """The first drains, the second ends what is left, a third does no harm."""
    handler, number = Watched(), signal.SIGUSR1
    async with trio.open_nursery() as nursery:

        async def start(*, task_status: trio.TaskStatus[Serving]) -> None:
            await serve(app_for(handler), ANYWHERE, signals=[number], task_status=task_status)

        server: Serving = await nursery.start(start)
        client = await connect(server)
        await client.send(ASK)
        await client.until(b"data: x")
        os.kill(os.getpid(), number)
        await until(lambda: server.is_draining)
        assert await client.until(b"data: x")
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        await client.stream.aclose()
    assert handler.running == 0


async def test_second_signal_ends_at_once() -> None:
    """Whoever insists does not have to wait for the grace."""
    with process() as (server, port):
        client = await open_client(port, ASK)
        async with client.stream:
            server.send_signal(signal.SIGTERM)
            await trio.sleep(0.2)
            assert server.poll() is None
            server.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(lambda: server.communicate(timeout=10))
        assert server.returncode == 0
