"""How many tokens an answer counts: one set of figures that every dialect words in its own way."""

from __future__ import annotations

import attrs

from lipstream.emulators.http import Request
from lipstream.emulators.script import Script, ToolCall, cut, tokens

FRAGMENT = 8
"""Characters of one piece of a tool call's arguments."""


@attrs.frozen
class Counts:
    """Tokens of one exchange.

    Attributes:
        prompt: All of the input, cache reads and writes included.
        output: All of the output, reasoning included.
    """

    prompt: int
    output: int
    reasoning: int
    cache_read: int
    cache_write: int

    @classmethod
    def of(cls, request: Request, script: Script) -> Counts:
        """By default a quarter of the request's bytes went in, one came out per content event."""
        reasoning = len(tokens(script.reasoning))
        return cls(
            prompt=count_prompt(request, script),
            output=_output(script, reasoning)
            if script.output_tokens is None
            else script.output_tokens,
            reasoning=reasoning,
            cache_read=script.cache_read_tokens,
            cache_write=script.cache_write_tokens,
        )

    @property
    def total(self) -> int:
        """Input and output."""
        return self.prompt + self.output

    @property
    def uncached(self) -> int:
        """The input that no cache had to do with."""
        return max(0, self.prompt - self.cache_read - self.cache_write)


def count_prompt(request: Request, script: Script) -> int:
    """The input's tokens."""
    if script.input_tokens is not None:
        return script.input_tokens
    cached = script.cache_read_tokens + script.cache_write_tokens
    return max(1, len(request.body) // 4) + cached


def fragments(call: ToolCall) -> list[str]:
    """The call's arguments as they stream."""
    return cut(call.arguments, FRAGMENT)


def _output(script: Script, reasoning: int) -> int:
    calls = sum(1 + len(fragments(call)) for call in script.tool_calls)
    said = len(script.deltas()) + len(tokens(script.refusal or ""))
    return reasoning + said + calls + (script.image is not None)
