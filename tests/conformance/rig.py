"""One proxy with an emulator behind each kind of backend, for a whole run of the tests.

It lives in a thread with an event loop of its own, so that the SDKs, which block, are called from
the tests directly: a server for each cell would cost more than the cell. What a cell wants of an
emulator is told by a model's name, which no other cell uses.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import trio

from lipstream.compose import Runtime, build
from lipstream.config.load import load_config
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.ledger import Entry
from lipstream.emulators.script import Script
from lipstream.server.serve import Serving
from lipstream.upstream.providers import KINDS
from tests.conformance.drivers.base import Driver
from tests.conformance.protocols import DRIVERS, base_path, first_kinds
from tests.conformance.verbatim import Verbatim

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for what must happen on the other side of a socket."""

SICK = 250
"""Backends that may fail, of each kind that plays everything: what one of them does must not count
against the next cell."""


class Rig:
    """The running whole, and the SDKs' clients.

    Attributes:
        origin: Where the proxy listens.
        kinds: Of the backends that the matrix is played with.
        others: Kinds that are there beside them.
        emulators: By kind of backend.
        verbatim: Answers in place of any kind, as ``<kind>-verbatim``.
    """

    def __init__(self, kinds: Sequence[str], others: Sequence[str] = ()) -> None:
        self.kinds = tuple(kinds)
        self.others = tuple(others)
        self.origin = ""
        self.emulators: dict[str, Emulator] = {}
        self.verbatim = Verbatim()
        self._drivers: dict[tuple[str, str], Driver] = {}
        self._numbers = itertools.count(1)
        self._sick = {kind: itertools.count() for kind in kinds}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rig", daemon=True)
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: trio.Event | None = None
        self._failure: BaseException | None = None
        self.runtime: Runtime | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(PATIENCE)
        if not self.origin:
            raise RuntimeError("the rig did not start") from self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for driver in self._drivers.values():
            driver.close()
        self.run(self._end)
        self._thread.join(PATIENCE)
        if self._failure is not None:
            raise RuntimeError("the rig failed") from self._failure

    # ---- for cells

    def driver(self, protocol: str, origin: str = "") -> Driver:
        """The SDK of a protocol, against the proxy or any other origin."""
        key = (protocol, origin or self.origin)
        if key not in self._drivers:
            self._drivers[key] = DRIVERS[protocol](key[1])
        return self._drivers[key]

    def model(self, stem: str) -> str:
        """A model's name that was never used before."""
        return f"{stem}-c{next(self._numbers)}"

    def sick(self, kind: str) -> str:
        """A backend of a kind that was never used before, for a cell in which it fails."""
        number = next(self._sick[kind])
        assert number < self._count_sick(kind), f"too many backends of {kind} were to fail"
        return f"{kind}-sick-{number}"

    def _count_sick(self, kind: str) -> int:
        return SICK if kind in first_kinds(self.kinds) else 0

    def play(self, kind: str, model: str, *scripts: Script) -> None:
        """What the emulator of a kind answers for a model, in turn."""
        self.run(lambda: self.emulators[kind].set(model, *scripts))

    def entries(self, kind: str, model: str) -> list[Entry]:
        """The requests for a model that the emulator of a kind saw."""
        return self.run(lambda: self.emulators[kind].ledger.of_model(model))

    def until(self, condition: Callable[[], object]) -> bool:
        """Waits for a condition; False when it did not come about in time."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def run(self, function: Callable[[], T]) -> T:
        """Calls a function in the rig's own thread."""
        assert self._token is not None
        return trio.from_thread.run_sync(function, trio_token=self._token)

    # ---- the thread

    def _end(self) -> None:
        assert self._stop is not None
        self._stop.set()

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except Exception as failure:  # noqa: BLE001 - told to whoever leaves the block
            self._failure = failure
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
        async with trio.open_nursery() as nursery:
            for kind in (*self.kinds, *self.others):
                self.emulators[kind] = Emulator()
                await nursery.start(self.emulators[kind].serve)
            await nursery.start(self.verbatim.serve)
            config = load_config(self._config(), kinds=KINDS, environment={})
            runtime = self.runtime = build(config, {})
            ready, started = trio.open_memory_channel[Serving](1)
            nursery.start_soon(_serve, runtime, ready.send_nowait)
            serving = await started.receive()
            self.origin = serving.addresses[0]
            self._ready.set()
            await self._stop.wait()
            await _settled(runtime)
            serving.end()
            nursery.cancel_scope.cancel()
        failures = list(self.verbatim.failures)
        for emulator in self.emulators.values():
            failures += emulator.failures
        if failures:
            raise ExceptionGroup("the emulators failed", failures)

    def _config(self) -> str:
        backends = {}
        for kind in (*self.kinds, *self.others):
            path, origin = base_path(kind), self.emulators[kind].origin
            entry: dict[str, Any] = {
                "kind": kind,
                "base_url": origin + path,
                "api_key": f"sk-{kind}",
            }
            entry["models"] = [f"{kind}-demo"]
            backends[kind] = entry
            backends |= {
                f"{kind}-sick-{n}": {**entry, "models": []} for n in range(self._count_sick(kind))
            }
            backends[f"{kind}-verbatim"] = {**entry, "base_url": self.verbatim.origin + path}
        # A cell that fails is to say why: the upstream's words are shown.
        errors = {"expose_upstream": True}
        return json.dumps({"server": {"port": 0}, "errors": errors, "backends": backends})


async def _serve(runtime: Runtime, on_ready: Callable[[Serving], None]) -> None:
    await runtime.serve(runtime.listen(), on_ready=on_ready)


async def _settled(runtime: Runtime) -> None:
    """No exchange is left running, and no upstream open, once every client has its answer."""
    with trio.fail_after(PATIENCE):
        while len(runtime.executor.live):  # noqa: ASYNC110 - it has no event for us
            await trio.sleep(0.01)
