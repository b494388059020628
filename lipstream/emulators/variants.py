"""OpenAI's two dialects as another provider has them, below a path of its own.

A variant answers as OpenAI does but for what it overrides. Not here: the providers, their errors
and their lists of models.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from lipstream.emulators.dialect import Ask, Dialect, credential, parse
from lipstream.emulators.http import Request
from lipstream.emulators.openai_chat import OpenAIChat
from lipstream.emulators.openai_responses import OpenAIResponses
from lipstream.emulators.openai_responses_request import FIELDS
from lipstream.emulators.playback import Body, Stream
from lipstream.emulators.script import Script

_RESPONSES = "/responses"


class Variant:
    """Both dialects below a prefix.

    Attributes:
        prefix: Where the provider has them, without a slash at its end.
    """

    prefix = ""

    def __init__(self) -> None:
        self._chat: Dialect = OpenAIChat()
        self._responses: Dialect = OpenAIResponses()

    def serves(self, request: Request) -> bool:
        """Whether this asks for an answer, below the prefix."""
        is_below = request.path.startswith(f"{self.prefix}/")
        return is_below and self._dialect(request).serves(request)

    def lists_models(self, request: Request) -> bool:
        """Whether this is the model list below the prefix."""
        return request.method == "GET" and request.path == f"{self.prefix}/models"

    def read(self, request: Request) -> Ask:
        """What OpenAI sees in it, without the fields that only this provider has."""
        body, dialect = parse(request), self._dialect(request)
        seen = self.seen_by_openai(body, request) if isinstance(body, dict) else body
        shown = attrs.evolve(request, body=msgspec.json.encode(seen)) if body else request
        ask = dialect.read(shown)
        return attrs.evolve(ask, request=request, body=body, credential=credential(request))

    def seen_by_openai(self, body: dict[str, Any], request: Request) -> dict[str, Any]:
        """The request as OpenAI would take it."""
        if not is_responses(request):
            return body
        return {name: value for name, value in body.items() if name in FIELDS}

    def stream(self, ask: Ask, script: Script) -> Stream:
        """The answer as events."""
        return self._dialect(ask.request).stream(ask, script)

    def body(self, ask: Ask, script: Script) -> Body:
        """The answer in one piece."""
        return self._dialect(ask.request).body(ask, script)

    def _dialect(self, request: Request) -> Dialect:
        return self._responses if is_responses(request) else self._chat


def is_responses(request: Request) -> bool:
    """Whether it is for the newer of the two."""
    return request.path.endswith(_RESPONSES)
