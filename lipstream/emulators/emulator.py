"""The emulator: a provider's place on the network, every answer by script.

It speaks all dialects at once, told apart by path. Which script answers: what `Emulator.set` or the
mapping has for the model, unless a ``choose`` callable names another one; else the default.

``GET /__ledger`` and ``POST /__reset`` are for whoever drives an emulator in a process of its own.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import attrs
import trio

from lipstream.emulators import http
from lipstream.emulators.acp import Acp
from lipstream.emulators.alarm import Alarm
from lipstream.emulators.anthropic_messages import AnthropicMessages
from lipstream.emulators.bedrock import Bedrock
from lipstream.emulators.dialect import Ask, Dialect
from lipstream.emulators.gemini import Gemini
from lipstream.emulators.http import Connection, Request
from lipstream.emulators.ledger import Ledger
from lipstream.emulators.nvidia import Nvidia
from lipstream.emulators.openai_chat import OpenAIChat
from lipstream.emulators.openai_responses import OpenAIResponses
from lipstream.emulators.openrouter import OpenRouter
from lipstream.emulators.playback import Body, Framing, Player, Stream, plan
from lipstream.emulators.script import Script
from lipstream.emulators.seen import repeat

Choose = Callable[[Ask], Script | None]

DIALECTS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    Gemini(),
    Bedrock(),
)
"""The first one also words the errors that belong to no dialect."""

_log = logging.getLogger(__name__)


class Emulator:
    """A scripted provider.

    Either ``async with Emulator(...) as emulator:`` on a free port, or
    ``await nursery.start(emulator.serve, port)``, which returns the emulator. Leaving the block or
    cancelling the nursery closes every socket.

    Attributes:
        ledger: What happened.
        failures: What went wrong in a ``choose`` callable or in the emulator itself; each cost one
            connection. Empty when all is well.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script | Sequence[Script]] | None = None,
        *,
        default: Script | None = None,
        choose: Choose | None = None,
        require_auth: bool = False,
        expect_key: str | None = None,
        seed: int = 0,
    ) -> None:
        """Nothing is opened yet.

        Args:
            scripts: By model; of a sequence each request takes the next, the last one repeats.
            default: For every other model; a benign one if it is not given.
            choose: Asked first; None leaves the choice to the other two.
            require_auth: A request without a credential gets a 401.
            expect_key: A request with any other credential gets a 401.
            seed: Of the generator that distributions draw from.
        """
        self.ledger = Ledger()
        self.failures: list[Exception] = []
        self._alarm = Alarm()
        self._player = Player(self.ledger, self._alarm)
        self._scripts: dict[str, deque[Script]] = {}
        for model, given in (scripts or {}).items():
            self.set(model, *([given] if isinstance(given, Script) else given))
        self._default = default or Script()
        self._choose = choose
        self._needs_credential = require_auth or expect_key is not None
        self._expect_key = expect_key
        self._rng = random.Random(seed)
        # An agent remembers, and so does who puts answers off.
        self._dialects: tuple[Dialect, ...] = (Nvidia(), OpenRouter(), *DIALECTS, Acp())
        self._address: tuple[str, int] | None = None

    def set(self, model: str, *scripts: Script) -> None:
        """From now on requests for ``model`` take these in turn; none: the default again."""
        self._scripts[model] = deque(scripts)

    # ---- life

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listening_at[1]

    @property
    def origin(self) -> str:
        """What a client of Anthropic's or Gemini's API is configured with."""
        host, port = self._listening_at
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API is configured with."""
        return f"{self.origin}/v1"

    @property
    def _listening_at(self) -> tuple[str, int]:
        if self._address is None:
            raise RuntimeError("the emulator is not running")
        return self._address

    async def serve(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        task_status: trio.TaskStatus[Emulator] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and answer until cancelled; port 0 takes a free one."""
        listener = http.listen(host, port)
        self._address = (host, listener.getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._alarm.run)
            task_status.started(self)
            await http.serve(listener, self)

    async def __aenter__(self) -> Emulator:
        self._block = trio.open_nursery()
        self._nursery = await self._block.__aenter__()
        await self._nursery.start(self.serve)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._nursery.cancel_scope.cancel()
        # The block's own exception stays outside of the nursery, which would wrap it in a group.
        await self._block.__aexit__(None, None, None)  # noqa: ASYNC102 - its own, cancelled above

    # ---- the site that http.serve serves

    def opened(self, connection: Connection) -> None:
        """Book a new connection."""
        self.ledger.connected(connection)

    def closed(self, connection: Connection) -> None:
        """Book its end."""
        self.ledger.disconnected(connection)

    def failed(self, failure: Exception) -> None:
        """Keep and log it."""
        self.failures.append(failure)
        _log.error("the emulator dropped a connection", exc_info=failure)

    async def handle(self, request: Request, connection: Connection) -> bool:
        """Answer one request."""
        if (control := self._control(request)) is not None:
            await connection.send(control)
            return request.is_kept_alive
        dialect = self._dialect_of(request)
        ask = dialect.read(request)
        entry = self.ledger.enter(request, connection, ask.body, ask.model)
        entry.dialect, entry.seen = type(dialect).__name__, ask.seen
        script, answer = self._answer(dialect, ask)
        steps = plan(script, answer, script.times(self._rng), Framing.of(script, request))
        return await self._player.play(steps, connection, entry, script)

    # ---- what is answered

    def _dialect_of(self, request: Request) -> Dialect:
        for dialect in self._dialects:
            if dialect.serves(request) or dialect.lists_models(request):
                return dialect
        return DIALECTS[0]

    def _answer(self, dialect: Dialect, ask: Ask) -> tuple[Script, Stream | Body]:
        script = self._refuse(dialect, ask)
        if script is None and dialect.lists_models(ask.request):
            return Script(), dialect.models(sorted(self._scripts))
        script = script or ask.refusal or _in_loop(self._script_for(ask), ask)
        if script.status != 200:
            return script, dialect.error(ask, script)
        if ask.is_streaming and not script.stream_ignored:
            return script, dialect.stream(ask, script)
        return script, dialect.body(ask, script)

    def _refuse(self, dialect: Dialect, ask: Ask) -> Script | None:
        """The script of an error that comes before any choice."""
        request = ask.request
        if not (dialect.serves(request) or dialect.lists_models(request)):
            message = f"Invalid URL ({request.method} {request.path})"
            return Script(status=404, error_code="unknown_url", error_message=message)
        is_known = self._expect_key is None or ask.credential == self._expect_key
        if self._needs_credential and not (ask.credential and is_known):
            return dialect.denial(ask)
        return None

    def _script_for(self, ask: Ask) -> Script:
        chosen = self._choose(ask) if self._choose and ask.usual is None else None
        if chosen is not None:
            return chosen
        turns = self._scripts.get(ask.model)
        if not turns:
            return ask.usual or self._default
        takes_turn = len(turns) > 1 and ask.purpose == "answer"
        return turns.popleft() if takes_turn else turns[0]

    def _control(self, request: Request) -> bytes | None:
        """The whole response to a request for the ledger, or None for any other request."""
        where = (request.method, request.path)
        if where == ("GET", "/__ledger"):
            data = self.ledger.as_json()
        elif where == ("POST", "/__reset"):
            self.ledger.clear()
            data = b"{}"
        else:
            return None
        length = ("content-length", str(len(data)))
        return http.encode_head(200, [("content-type", "application/json"), length]) + data


def _in_loop(script: Script, ask: Ask) -> Script:
    """``script``, or the answer that ends its tool loop."""
    if ask.seen is None or not script.tool_rounds or ask.seen.rounds < script.tool_rounds:
        return script
    text = repeat(ask.seen)
    return attrs.evolve(script, text=text, words=None, tool_calls=(), finish_reason=None)
