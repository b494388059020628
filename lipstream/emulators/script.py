"""Scripts: what one answer says, when its parts come, and what goes wrong with it.

A script is data and knows no dialect: every dialect reads the same one, and `playback` applies the
timing and the faults to whatever the dialect made of it. All defaults are benign.

**Counting.** ``..._after`` faults count content events (text, reasoning, tool call, refusal,
image), not the opening, finish or usage events. Such a fault strikes when the next content event
would have been due; where the answer has fewer events than that, after its last one and before its
finish. An answer in one piece counts as one event, of which half is sent. With several of them set,
the smallest count strikes.

**Order.** ``reset_after=0``, ``hang_before_headers``, ``garbage="head"``, ``cut_in_head`` come in
this order before everything else; the faults inside a body strike in the body of an error, too.
"""

from __future__ import annotations

import enum
import random
import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import msgspec

from lipstream.emulators.timing import Duration, Times, draw
from lipstream.errors import ConfigError

GREETING = "Hello! How can I help you today?"

_TOKENS = re.compile(r"\s*\S+|\s+\Z")


@attrs.frozen
class ToolCall:
    """One tool call of the answer; ``arguments`` is the JSON text as the model writes it."""

    name: str
    arguments: str = "{}"
    id: str | None = None  # by default one as the provider makes them


class Break(enum.Enum):
    """What ends an answer in the middle of its body."""

    HANG = "hang"  # silence, the connection stays open
    CUT = "cut"  # FIN without a terminator
    RESET = "reset"  # RST
    ERROR = "error"  # the dialect's error event, then a clean end of the body


@attrs.frozen(kw_only=True)
class Script:
    """One answer.

    What it says:

    Attributes:
        text: The answer's text. By default a greeting, where nothing else is said.
        words: Instead of ``text``: ``word1 word2 ...``, so many.
        model: The model that the answer names; by default the one that was asked for.
        reasoning: Comes before everything else.
        tool_calls: Several are parallel calls of one turn.
        refusal: The model's refusal, in the place of text.
        image: URL or data URL of an image, in the place of text.
        redacted: Blocks of encrypted reasoning after it, where a dialect has such.
        finish_reason: By default the one that fits the answer. ``stop``, ``length``,
            ``tool_calls``, ``content_filter``, ``refusal``, ``pause`` and ``error`` are put into
            the dialect's words, anything else (and everything in OpenAI chat) is sent as it is.
        stop_sequence: The one that ended the answer.
        block_reason: The prompt was refused: no answer but this reason, where a dialect has such
            (Gemini), else an empty one that a filter ended.
        tool_rounds: While the request ends with fewer rounds of tool calls and their results, call
            the tools; then answer with a text that repeats the results (see `seen.repeat`). 0:
            always call them.
        usage: False for a provider that never counts.
        input_tokens: In all, cache reads and writes included; by default a quarter of the bytes.
        output_tokens: In all, reasoning included; by default one per content event.
        cache_read_tokens: Of the input.
        cache_write_tokens: Of the input.
        headers: More response headers, as (name, value).
        content_type: Instead of the right one.

    When it comes; seconds, or a distribution that each request draws from:

    Attributes:
        headers_after: From the request to the response head. Errors come at this time, too.
        role_chunk: The opening events go out with the head; by default just before the content.
        content_after: From the request to the first content.
        pace: From one content event to the next.
        close_delay: From the last event to the end of the body.

    Faults:

    Attributes:
        status: Anything but 200 answers with an error body (``error_*``, ``retry_after``).
        retry_after: The ``Retry-After`` header, in seconds.
        error_body: Instead of the dialect's error body.
        error_code: The dialect's code for ``status`` and ``error_after`` errors.
        error_message: Instead of the words that go with status and code.
        hang_before_headers: Read the request, say nothing.
        hang_after: Silence after so many content events, with the connection open.
        cut_after: FIN without a terminator after so many content events.
        cut_in_head: FIN after so many bytes of the response head.
        reset_after: RST after so many content events; 0: instead of the head.
        error_after: The dialect's in-band error event after so many content events, inside a 200.
        garbage: ``head``: not HTTP. ``body``: HTML under the right content type. ``event``:
            unparseable events inside a good stream, ``garbage_count`` of them after ``garbage_at``
            content events.
        stream_ignored: Answer JSON though a stream was asked for.
        no_done: Leave the dialect's terminal marker out.
        no_finish_reason: Leave the finish reason out.
        close_delimited: No framing: the end of the body is the FIN.
        close_unannounced: Say keep-alive and close after the answer all the same.

    The bytes:

    Attributes:
        trickle: Everything goes out in pieces of so many bytes, with a checkpoint between them.
        delta_size: Characters per text event: ``words`` are stretched, ``text`` is cut.
        crlf: Lines of an event stream end in CR LF.
        bom: An event stream begins with a byte order mark.
        comments: A comment goes out with the head and one before each content event.
        pings: The dialect's keep-alive event goes out before each content event, where it has one.
    """

    text: str | None = None
    words: int | None = None
    model: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    image: str | None = None
    redacted: int = 0
    finish_reason: str | None = None
    stop_sequence: str | None = None
    block_reason: str | None = None
    tool_rounds: int = 0
    usage: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None

    headers_after: Duration = 0.0
    role_chunk: bool = False
    content_after: Duration = 0.0
    pace: Duration = 0.0
    close_delay: float = 0.0

    status: int = 200
    retry_after: float | None = None
    error_body: bytes | None = None
    error_code: str | int | None = None
    error_message: str | None = None
    hang_before_headers: bool = False
    hang_after: int | None = None
    cut_after: int | None = None
    cut_in_head: int | None = None
    reset_after: int | None = None
    error_after: int | None = None
    garbage: Literal["head", "body", "event"] | None = None
    garbage_at: int = 1
    garbage_count: int = 1
    stream_ignored: bool = False
    no_done: bool = False
    no_finish_reason: bool = False
    close_delimited: bool = False
    close_unannounced: bool = False

    trickle: int | None = None
    delta_size: int | None = None
    crlf: bool = False
    bom: bool = False
    comments: bool = False
    pings: bool = False

    def times(self, rng: random.Random) -> Times:
        """Draw when the parts of one answer are due."""
        return Times(
            draw(self.headers_after, rng), draw(self.content_after, rng), draw(self.pace, rng)
        )

    def deltas(self) -> list[str]:
        """The answer's text as it streams: one word each, or what ``delta_size`` makes of them."""
        if self.words is not None:
            return [_word(n, self.delta_size) for n in range(1, self.words + 1)]
        text = self._default_text() if self.text is None else self.text
        if self.delta_size is None:
            return tokens(text)
        return cut(text, self.delta_size)

    def _default_text(self) -> str:
        says_something = (
            self.tool_calls
            or self.refusal is not None
            or self.image is not None
            or self.block_reason is not None
        )
        return "" if says_something else GREETING

    def first_break(self) -> tuple[int, Break] | None:
        """What ends the body early, and after how many content events."""
        breaks = (
            (self.hang_after, Break.HANG),
            (self.cut_after, Break.CUT),
            (self.reset_after, Break.RESET),
            (self.error_after, Break.ERROR),
        )
        struck = [(count, kind) for count, kind in breaks if count is not None]
        return min(struck, key=lambda item: item[0]) if struck else None


def tokens(text: str) -> list[str]:
    """``text`` cut before each word's leading blanks: joined, the pieces are ``text`` again."""
    return _TOKENS.findall(text)


def cut(text: str, size: int) -> list[str]:
    """``text`` in pieces of ``size`` characters, the last one possibly shorter."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def _word(number: int, size: int | None) -> str:
    word = "word1" if number == 1 else f" word{number}"
    return word if size is None else (word * (size // len(word) + 1))[:size]


_FIELDS = frozenset(field.name for field in attrs.fields(Script))


def script_from_json(raw: Mapping[str, Any]) -> Script:
    """A script from its JSON form: the same names, distributions by ``type``, bodies as text.

    Raises:
        ConfigError: An unknown name or a value of the wrong type.
    """
    if unknown := sorted(set(raw) - _FIELDS):
        raise ConfigError(f"unknown in a script: {', '.join(unknown)}")
    fields = dict(raw)
    if isinstance(fields.get("error_body"), str):
        fields["error_body"] = fields["error_body"].encode()
    try:
        return msgspec.convert(fields, Script)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"bad script: {problem}") from None
