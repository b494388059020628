"""Where a cell is played: one frontend, one backend, and whatever the scenario asks of them."""

from __future__ import annotations

from typing import Any

import attrs

from lipstream.emulators.ledger import Entry
from lipstream.emulators.script import Script
from lipstream.emulators.seen import Seen
from tests.conformance.outcome import Failure, Outcome, Reply
from tests.conformance.prompt import Prompt
from tests.conformance.protocols import MODELS, dialect_of
from tests.conformance.rig import Rig

DIRECT = "direct"
"""In the place of a kind of backend: the SDK speaks to its own provider, no proxy between."""


@attrs.frozen
class Stage:
    """One cell's place.

    Attributes:
        frontend: The protocol of the client.
        kind: Of the backend.
        is_streaming: Whether the client streams.
        stem: How the model's name begins, where it matters.
        backend_id: The backend of the configuration; the kind's own by default.
    """

    rig: Rig
    frontend: str
    kind: str
    is_streaming: bool
    stem: str = ""
    backend_id: str = ""
    model: str = attrs.field(init=False)

    @model.default
    def _make_model(self) -> str:
        return self.rig.model(self.stem or MODELS[self.backend])

    @property
    def backend(self) -> str:
        """The protocol of the backend."""
        return self.frontend if self.kind == DIRECT else dialect_of(self.kind, self.frontend)

    @property
    def emulator(self) -> str:
        """The kind whose emulator answers."""
        return self.rig.kinds[0] if self.kind == DIRECT else self.kind

    @property
    def is_own(self) -> bool:
        """Whether client and provider speak the same protocol."""
        return self.frontend == self.backend

    def changed(self, **changes: Any) -> Stage:
        """Another place, with a model of its own."""
        fields = ("frontend", "kind", "is_streaming", "stem")
        given = {name: getattr(self, name) for name in fields}
        return Stage(self.rig, **{**given, **changes})

    def failing(self) -> Stage:
        """A place where the provider may fail: what it does is held against nobody else."""
        return self.changed(backend_id=self.rig.sick(self.kind))

    # ---- playing

    def play(self, *scripts: Script) -> None:
        """What the provider answers, in turn."""
        self.rig.play(self.emulator, self.model, *scripts)

    def ask(self, prompt: Prompt, *, is_streaming: bool | None = None) -> Reply:
        """What the SDK makes of it."""
        mode = self.is_streaming if is_streaming is None else is_streaming
        origin = self.rig.emulators[self.emulator].origin if self.kind == DIRECT else ""
        driver = self.rig.driver(self.frontend, origin)
        return driver.ask(prompt, self.route, is_streaming=mode)

    def open(self, prompt: Prompt) -> Any:
        """A stream of the SDK's."""
        origin = self.rig.emulators[self.emulator].origin if self.kind == DIRECT else ""
        return self.rig.driver(self.frontend, origin).open(prompt, self.route)

    @property
    def route(self) -> str:
        """What the client writes as the model."""
        if self.kind == DIRECT:
            return self.model
        return f"{self.backend_id or self.kind}:{self.model}"

    def answer(self, prompt: Prompt, *, is_streaming: bool | None = None) -> Outcome:
        """An answer that is as its protocol wants it."""
        reply = self.ask(prompt, is_streaming=is_streaming)
        assert isinstance(reply, Outcome), reply
        assert reply.complaints == ()
        return reply

    def failure(self, prompt: Prompt) -> Failure:
        """An error."""
        reply = self.ask(prompt)
        assert isinstance(reply, Failure), reply
        return reply

    # ---- what the provider saw

    @property
    def entries(self) -> list[Entry]:
        """Its requests, oldest first."""
        return self.rig.entries(self.emulator, self.model)

    @property
    def seen(self) -> Seen:
        """What the last request said."""
        seen = self.entries[-1].seen
        assert seen is not None, self.entries[-1].body
        return seen

    @property
    def body(self) -> Any:
        """The body of the last request."""
        return self.entries[-1].body
