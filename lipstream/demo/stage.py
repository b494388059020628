"""Emulators, the proxy and a client, in one process and over real sockets.

Times of an outcome are seconds since the proxy began with the request, whoever measured them: the
records count from there, and client and emulators share Trio's clock with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs
import trio

from lipstream.canonical import events as e
from lipstream.compose import Runtime, build
from lipstream.config.load import load_config
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.ledger import Entry
from lipstream.emulators.script import Script
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord
from lipstream.protocols import openai_chat
from lipstream.upstream.client import Origin, Request, Response
from lipstream.upstream.providers import COMPATIBLE, KINDS
from lipstream.upstream.transport import Transport

PLACES = ("east", "west", "north")
LIMIT = 10.0  # seconds for one scene, and for everything to be closed behind it


@attrs.define
class Heard:
    """What the client received.

    Attributes:
        began_at: The first byte, or None.
        ended_at: The end, or the moment in which it hung up.
    """

    status: int = 0
    text: str = ""
    words: int = 0
    is_complete: bool = False
    began_at: float | None = None
    ended_at: float = 0.0


@attrs.frozen
class Outcome:
    """One request, seen from all sides.

    Attributes:
        attempts: By backend.
        entries: By backend: what its emulator saw.
        texts: By backend: what it had to say.
        shift: Added to Trio's clock it gives the outcome's time.
    """

    record: ExchangeRecord
    heard: Heard
    entries: Mapping[str, Entry]
    texts: Mapping[str, str]
    shift: float

    @property
    def attempts(self) -> dict[str, AttemptRecord]:
        """The attempts' records, by backend."""
        return {attempt.candidate.backend: attempt for attempt in self.record.attempts}

    def closed_at(self, backend: str) -> float | None:
        """When an emulator saw the proxy close its socket; None if it did not."""
        entry = self.entries[backend]
        if entry.closed_at is None or entry.closed_by == "emulator":
            return None
        return entry.closed_at + self.shift

    def is_whole(self, backend: str) -> bool:
        """Whether the client received the whole answer of a backend and nothing else."""
        return self.heard.is_complete and self.heard.text == self.texts[backend]


class Stage:
    """A running proxy with emulated providers behind it.

    Attributes:
        emulators: By backend.
        records: Of the exchanges that are over.
        address: The proxy's URL, once it runs.
    """

    def __init__(self) -> None:
        self.emulators = {place: Emulator() for place in PLACES}
        self.records: list[ExchangeRecord] = []
        self.runtime: Runtime
        self.address = ""
        self._client = Transport()
        self._changed = trio.Event()

    # ---- an observer

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """Comes again with the exchange."""

    def on_exchange(self, record: ExchangeRecord) -> None:
        """Keeps it."""
        self.records.append(record)
        self._changed.set()

    # ---- life

    async def start(self, nursery: trio.Nursery) -> None:
        """Starts emulators and proxy in a nursery; cancelling it ends them."""
        for emulator in self.emulators.values():
            await nursery.start(emulator.serve)
        self.runtime = build(load_config(self._config(), kinds=KINDS, environment={}), {}, [self])
        sockets = self.runtime.listen()
        serving = await nursery.start(self.runtime.serve, sockets)
        self.address = serving.addresses[0]

    async def stop(self) -> None:
        """Lets go of the client's connections."""
        await self._client.aclose()

    def opened(self) -> int:
        """Requests that the emulators received."""
        return sum(len(emulator.ledger) for emulator in self.emulators.values())

    def orphans(self) -> int:
        """Of these, those that are still running; and exchanges that are."""
        running = [emulator.ledger.open_requests for emulator in self.emulators.values()]
        return sum(map(len, running)) + len(self.runtime.executor.live)

    def _config(self) -> str:
        """As an operator would write it."""
        backends = {
            place: {"kind": COMPATIBLE, "base_url": emulator.base_url}
            for place, emulator in self.emulators.items()
        }
        return json.dumps(
            {"server": {"port": 0}, "backends": backends, "routing": {"patience": "off"}}
        )

    # ---- one request

    async def play(
        self, route: str, scripts: Mapping[str, Script], words_heard: int | None
    ) -> Outcome | None:
        """Sends one request and waits until all that it caused is over.

        Returns None if that took too long, or if not every one of the places was asked.
        """
        for place, script in scripts.items():
            self.emulators[place].set(_model(route, place), script)
        before = {place: len(self.emulators[place].ledger) for place in scripts}
        self._changed = trio.Event()
        with trio.move_on_after(LIMIT):
            heard = await self._ask(route, words_heard)
            await self._changed.wait()
            for emulator in self.emulators.values():
                await emulator.ledger.wait_for(lambda ledger: not ledger.open_requests)
            record = self.records[-1]
            shift = time.time() - trio.current_time() - record.started_at
            entries = {
                place: self.emulators[place].ledger[count]
                for place, count in before.items()
                if len(self.emulators[place].ledger) > count
            }
            texts = {place: script.text or "" for place, script in scripts.items()}
            outcome = Outcome(record, _shifted(heard, shift), entries, texts, shift)
            return outcome if entries.keys() == outcome.attempts.keys() == texts.keys() else None
        return None

    async def _ask(self, route: str, words_heard: int | None) -> Heard:
        """A client in the simplest form: streams, and leaves after enough words."""
        heard = Heard()
        response = await self._send(route)
        try:
            heard.status = response.status
            await _listen(response, heard, words_heard)
        finally:
            heard.ended_at = trio.current_time()
            response.close()
        return heard

    async def _send(self, route: str) -> Response:
        parts = urlsplit(self.address)
        origin = Origin("http", parts.hostname or "", parts.port or 0)
        message = {"role": "user", "content": "Say something."}
        body = json.dumps({"model": route, "stream": True, "messages": [message]}).encode()
        headers = [(b"content-type", b"application/json")]
        return await self._client.send(
            origin, Request(b"POST", b"/v1/chat/completions", headers, body)
        )


async def _listen(response: Response, heard: Heard, words_heard: int | None) -> None:
    decoder = openai_chat.CLIENT.stream_decoder()
    while words_heard is None or heard.words < words_heard:
        data = await response.receive()
        if heard.began_at is None:
            heard.began_at = trio.current_time()
        for event in decoder.feed(data) if data else decoder.end():
            if isinstance(event, e.TextDelta):
                heard.text += event.text
                heard.words += 1
            heard.is_complete = isinstance(event, e.Finished)
        if not data:
            return


def _model(route: str, place: str) -> str:
    """The model that a route asks a place for."""
    leaves = route.replace("|", "!").split("!")
    return dict(leaf.split(":") for leaf in leaves)[place]


def _shifted(heard: Heard, shift: float) -> Heard:
    began_at = None if heard.began_at is None else heard.began_at + shift
    return attrs.evolve(heard, began_at=began_at, ended_at=heard.ended_at + shift)
