"""Counts what one attempt has received: constant work per event, nothing is kept of the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

from lipstream.canonical import events as e
from lipstream.canonical.usage import Usage

CHARACTERS_PER_TOKEN = 4

# The text of the events that a model has paid for with output tokens.
_TEXTS: Mapping[type[e.Event], Callable[[e.Event], str]] = {
    e.TextDelta: attrgetter("text"),
    e.ReasoningDelta: attrgetter("text"),
    e.RefusalDelta: attrgetter("text"),
    e.ToolCallStarted: attrgetter("name"),
    e.ToolCallDelta: attrgetter("arguments"),
}


class Tally:
    """The counts of one attempt.

    Attributes:
        events: Canonical events read.
        usage: What the provider has reported so far.
        is_whole: The answer was received to its end.
    """

    __slots__ = ("_characters", "_deltas", "events", "is_whole", "usage")

    def __init__(self) -> None:
        self.events = 0
        self.usage: Usage | None = None
        self.is_whole = False
        self._deltas = 0  # those with text, since the last report of output
        self._characters = 0  # likewise

    def add(self, batch: e.Batch) -> None:
        """Counts a batch."""
        self.events += len(batch)
        for event in batch:
            text_of = _TEXTS.get(type(event))
            if text_of is not None:
                size = len(text_of(event))
                if size:
                    self._deltas += 1
                    self._characters += size
            elif isinstance(event, e.UsageReported):
                self._report(event.usage)
            elif isinstance(event, e.Finished):
                self.is_whole = True

    def _report(self, usage: Usage) -> None:
        self.usage = usage if self.usage is None else self.usage.merge(usage)
        if usage.output_tokens is not None:  # a running total: the text so far is in it
            self._deltas = self._characters = 0

    @property
    def has_begun(self) -> bool:
        """Whether the model has done anything that is charged."""
        return self._deltas > 0 or self.usage is not None

    @property
    def reported_output(self) -> int | None:
        """The provider's count of the output tokens, or None before the first."""
        return None if self.usage is None else self.usage.output_tokens

    @property
    def has_exact_output(self) -> bool:
        """Whether the provider's count is all there is to count."""
        return self.reported_output is not None and (self.is_whole or not self._deltas)

    @property
    def output_tokens(self) -> int:
        """The provider's count, and what the text since then comes to.

        A delta is at least a token, and a token is some four characters: what is more counts.
        Reasoning that a provider does not show is not in it, nor are media.
        """
        reported = self.reported_output or 0
        if self.has_exact_output:
            return reported
        return reported + max(self._deltas, self._characters // CHARACTERS_PER_TOKEN)
