"""The processes of a measurement: emulators and the proxy, each on its own, with their CPU time.

Every port is a free one, every file lies in a temporary folder, and leaving a context ends what it
started. Where there are two cores or more the proxy has one for itself, and the emulators share
another with the client: what the proxy needs is then not hidden by what drives it.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import attrs
import msgspec

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_LIMIT = 30.0  # seconds
STOP_LIMIT = 10.0
POLL = 0.01
GRACE = 1.0
"""Seconds that the proxy gives to running streams when it is told to end."""

OPEN_FILES = 16_384
PROXY = (sys.executable, "-c", "from lipstream.cli import main; main()", "serve")
EMULATOR = (sys.executable, "-m", "lipstream.emulators")

_PROXY_READY = re.compile(r"^listening\s+http://\S+?:(\d+)", re.MULTILINE)
_EMULATOR_READY = re.compile(r'"port":\s*(\d+)')
_TICKS = os.sysconf("SC_CLK_TCK")

Config = Mapping[str, Any]
Result = TypeVar("Result")


class RigFault(Exception):
    """A process did not start or did not do what a measurement relies on."""


# ---------------------------------------------------------------- cores


@attrs.frozen
class Cores:
    """Who runs where; None for anywhere."""

    proxy: frozenset[int] | None = None
    load: frozenset[int] | None = None

    def __str__(self) -> str:
        if self.proxy is None or self.load is None:
            return "not pinned"
        return f"proxy on CPU {_listed(self.proxy)}, emulator and client on {_listed(self.load)}"


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


@functools.cache
def split_cores() -> Cores:
    """The first core that we may use for the proxy, the second one for the rest."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    cores = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(cores[:1]), frozenset(cores[1:2])) if len(cores) > 1 else Cores()


def _pin(pid: int, cores: frozenset[int] | None) -> None:
    if cores is not None:
        os.sched_setaffinity(pid, cores)


@contextlib.contextmanager
def pinned_here() -> Iterator[Cores]:
    """Keep this process on the load's core for a while."""
    cores = split_cores()
    before = os.sched_getaffinity(0) if cores.load is not None else set()
    _pin(0, cores.load)
    try:
        yield cores
    finally:
        if before:
            os.sched_setaffinity(0, before)


def allow_open_files() -> None:
    """Raise the limit on open files, for us and for what we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# ---------------------------------------------------------------- processes


@attrs.define(eq=False)
class Program:
    """A process that listens.

    Attributes:
        folder: Its output is there, under its name.
        port: Where it listens, from `wait_ready` on.
    """

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    port: int = 0

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], folder: Path, cores: frozenset[int] | None
    ) -> Program:
        """Start it; it does not listen yet."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LIPSTREAM_")}
        with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=ROOT, env=environment
            )
        _pin(process.pid, cores)
        return cls(name, folder, process)

    def wait_ready(self, ready: re.Pattern[str]) -> None:
        """Wait for the line of its output that tells the port.

        Raises:
            RigFault: It ended instead, or took too long.
        """
        give_up_at = time.monotonic() + START_LIMIT
        while time.monotonic() < give_up_at and self.process.poll() is None:
            if match := ready.search(self._text("out")):
                self.port = int(match[1])
                return
            time.sleep(POLL)
        raise RigFault(f"the {self.name} did not start:\n{self._text('err')}")

    def _text(self, suffix: str) -> str:
        return (self.folder / f"{self.name}.{suffix}").read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """CPU time that it has used, by the kernel's accounting."""
        return cpu_seconds(self.process.pid)

    def stop(self) -> None:
        """End it, by force where asking does not help."""
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            if self.process.stdin is not None:
                self.process.stdin.close()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process: to the nanosecond where the scheduler tells, else to the tick.

    Linux only. The former leaves threads out that have ended; the processes here have none.
    """
    tasks = Path(f"/proc/{pid}/task")
    try:
        rows = [(task / "schedstat").read_text().split() for task in tasks.iterdir()]
    except OSError:
        rows = []
    return sum(int(row[0]) for row in rows) / 1e9 or tick_seconds(pid)


def tick_seconds(pid: int) -> float:
    """CPU time of a process in user and kernel mode, to the tick (mostly 10 ms)."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return (int(fields[11]) + int(fields[12])) / _TICKS


# ---------------------------------------------------------------- the emulator


class _Message(msgspec.Struct):
    content: Any = None


class _Body(msgspec.Struct):
    messages: list[_Message] = []


class Seen(msgspec.Struct):
    """One request as the emulator saw it; see ``lipstream.emulators.ledger.Entry``."""

    model: str
    received_at: float
    outcome: str | None
    first_content_at: float | None = None
    finished_at: float | None = None
    closed_at: float | None = None
    body: _Body | None = None

    @property
    def name(self) -> str:
        """The last message of the request, by which its sender knows it."""
        messages = self.body.messages if self.body else []
        return str(messages[-1].content) if messages else ""


class _Ledger(msgspec.Struct):
    open_requests: int
    entries: list[Seen]


@attrs.frozen
class Provider:
    """A running emulator."""

    program: Program

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.program.port

    @property
    def base_url(self) -> str:
        """For a backend's entry in the proxy's configuration."""
        return f"http://{HOST}:{self.port}/v1"

    def ledger(self) -> list[Seen]:
        """Every request since the last `reset`."""
        return self._ledger().entries

    def reset(self) -> None:
        """Forget all requests."""
        self._ask("POST", "/__reset")

    def open_requests(self, patience: float = 0.0) -> int:
        """Requests that still run or hang, as soon as there are none or the patience is over."""
        give_up_at = time.monotonic() + patience
        while (count := self._ledger().open_requests) and time.monotonic() < give_up_at:
            time.sleep(POLL * 5)
        return count

    def _ledger(self) -> _Ledger:
        return msgspec.json.decode(self._ask("GET", "/__ledger"), type=_Ledger)

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=START_LIMIT)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        finally:
            connection.close()


# ---------------------------------------------------------------- all together


class Rig:
    """What a measurement has running. Use it as a context manager."""

    def __init__(self) -> None:
        self.cores = split_cores()
        self._stack = contextlib.ExitStack()
        self._count = 0

    def __enter__(self) -> Rig:
        allow_open_files()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory("-bench")))
        self._stack.enter_context(pinned_here())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def emulator(self, scripts: Mapping[str, Any] | None = None) -> Provider:
        """An emulator with scripts by model."""
        return self.provider([*EMULATOR, "--json", json.dumps(scripts or {})])

    def provider(self, command: Sequence[str]) -> Provider:
        """A program that behaves like the emulator."""
        return Provider(self._run("emulator", command, self.cores.load, _EMULATOR_READY))

    def proxy(self, backends: Mapping[str, str], routing: Config | None = None) -> Program:
        """The proxy.

        Args:
            backends: Base URLs by id.
            routing: That section of the configuration.
        """
        config = {
            "server": {"address": f"{HOST}:0", "grace": GRACE},
            "backends": {
                name: {"kind": "openai-compatible", "base_url": url, "api_key": "none"}
                for name, url in backends.items()
            },
            "routing": dict(routing or {}),
        }
        file = self._folder / f"lipstream-{self._count}.yaml"
        file.write_text(json.dumps(config))
        return self._run("proxy", [*PROXY, "--config", str(file)], self.cores.proxy, _PROXY_READY)

    def _run(
        self,
        name: str,
        command: Sequence[str],
        cores: frozenset[int] | None,
        ready: re.Pattern[str],
    ) -> Program:
        self._count += 1
        program = Program.start(f"{name}-{self._count}", command, self._folder, cores)
        self._stack.callback(program.stop)
        program.wait_ready(ready)
        return program


def exit_on_signal() -> None:
    """Make SIGTERM leave through the contexts, so that nothing is left running."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
