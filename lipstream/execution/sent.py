"""What a client has been sent of an answer, as far as it matters once the answer is cut. Pure."""

from __future__ import annotations

from lipstream.canonical import events as e
from lipstream.canonical.limits import STREAM_LIMITS
from lipstream.lifecycle.tally import CHARACTERS_PER_TOKEN

RECOVERED = "proxy_stream_recovered"  # in the place of a provider's own word for the reason

_WARNING = e.Notice(
    "proxy_stream_recovery", "The backend's answer broke off here; it is not complete."
)


class Sent:
    """Watches the events on their way to a client.

    Attributes:
        is_plain: It is text of one message, with unsealed reasoning at most: another model can go
            on with it. What else there is (tool calls, media, refusals, log probabilities, parts
            and deltas of one dialect, the end of the message) cannot be gone on with.
    """

    def __init__(self) -> None:
        self.is_plain = True
        self._pieces: list[str] = []
        self._size = 0
        self._messages: set[int] = set()  # those that are open
        self._calls: set[tuple[int, int]] = set()  # likewise

    def add(self, batch: e.Batch) -> None:
        """Takes a batch that is sent now."""
        for event in batch:
            if self.is_plain:
                self._collect(event)
            if isinstance(event, e.MessageStarted):
                self._messages.add(event.choice)
            elif isinstance(event, e.MessageFinished):
                self._messages.discard(event.choice)
            elif isinstance(event, e.ToolCallStarted):
                self._calls.add((event.choice, event.index))
            elif isinstance(event, e.ToolCallFinished):
                self._calls.discard((event.choice, event.index))

    def _collect(self, event: e.Event) -> None:
        if type(event) is e.TextDelta:
            self._pieces.append(event.text)
            self._size += len(event.text)
        if not _is_plain(event) or self._size > STREAM_LIMITS.held_bytes:
            self.is_plain = False
            self._pieces.clear()

    @property
    def text(self) -> str:
        """All the text; only of what is plain."""
        return "".join(self._pieces)

    @property
    def tokens(self) -> int:
        """About how many tokens the text has: a piece is at least one."""
        return max(len(self._pieces), self._size // CHARACTERS_PER_TOKEN)

    @property
    def can_be_closed(self) -> bool:
        """Whether a normal end may follow: never after half a tool call, which would be run."""
        return not self._calls

    def closing(self, *, warns: bool) -> e.Batch:
        """The events that end what has been sent as an answer that is not complete."""
        ends: e.Batch = [
            e.MessageFinished(e.FinishReason.LENGTH, choice, RECOVERED)
            for choice in sorted(self._messages)
        ]
        return [*([_WARNING] if warns else []), *ends, e.Finished()]


def _is_plain(event: e.Event) -> bool:
    if getattr(event, "choice", 0) != 0:
        return False
    if isinstance(event, e.TextDelta):
        return event.logprobs is None
    if isinstance(event, e.PartFinished):
        return event.seal is None
    if isinstance(event, e.Extra):
        return event.scope in ("response", "choice")
    return isinstance(
        event, e.Started | e.MessageStarted | e.ReasoningDelta | e.UsageReported | e.Notice
    )
