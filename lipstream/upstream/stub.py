"""A backend without a network: it says its words at a given pace, or refuses.

For trying lipstream out with nothing but itself, and for a route's last resort. It makes canonical
events directly, so no codec and no socket is in the way. A provider's place on the network, with
every fault there is, is what ``emulators`` are for.
"""

from __future__ import annotations

import random
import re
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

import attrs
import trio

from lipstream.canonical import events as e
from lipstream.canonical.abilities import ANYTHING
from lipstream.canonical.call import Call, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.parts import Text
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind, UpstreamFault

_WORDS = re.compile(r"\s*\S+")


@attrs.frozen(kw_only=True)
class Manner:
    """How a stub behaves. Times in seconds.

    Attributes:
        text: What it says; None for a sentence about itself.
        words: Instead of ``text``: so many numbered words.
        first_after: From the request to the first word, or to the refusal.
        pace: From one word to the next.
        jitter: Both times vary by this share up and down.
        fail_share: Share of the requests that are refused, as a server's fault.
    """

    text: str | None = None
    words: int | None = None
    first_after: float = 0.0
    pace: float = 0.02
    jitter: float = 0.0
    fail_share: float = 0.0


class StubBackend:
    """See ``interfaces.Backend``. Takes any model, and any number of calls at once.

    Of an answer whose beginning it is given it says the rest: it counts the words and goes on.

    Args:
        rng: Decides refusals and jitter.
    """

    prefills = True
    abilities = ANYTHING

    def __init__(
        self, id: str, manner: Manner, models: Sequence[str] = (), rng: random.Random | None = None
    ) -> None:
        self.id = id
        self.models = tuple(models)
        self._manner = manner
        self._rng = rng or random.Random()

    def dropped(self, call: Call) -> Sequence[str]:
        """Nothing: it never listens."""
        return ()

    async def open(self, call: Call, candidate: Candidate) -> StubAnswer:
        """An answer, at once; a refusal takes as long as the first word would."""
        manner = self._manner
        first_at = trio.current_time() + self._vary(manner.first_after)
        if self._rng.random() < manner.fail_share:
            await trio.sleep_until(first_at)
            raise UpstreamFault(FaultKind.SERVER, "the stub refuses", status=503)
        await trio.lowlevel.checkpoint()
        words = self._words(candidate.model)[_count_given(call) :]
        limit = call.options.max_output_tokens
        said = words if limit is None else words[:limit]
        pauses = [self._vary(manner.pace) for _ in said[1:]]
        due = list(accumulate(pauses, initial=first_at))[: len(said)]
        reason = e.FinishReason.STOP if len(said) == len(words) else e.FinishReason.LENGTH
        answer_id = f"stub-{self._rng.getrandbits(64):016x}"
        start = e.Started(answer_id, candidate.model, int(time.time()))
        usage = Usage(input_tokens=_count_words(call), output_tokens=len(said))
        return StubAnswer(start, deque(zip(due, said, strict=True)), reason, usage)

    def _words(self, model: str) -> list[str]:
        manner = self._manner
        if manner.words is not None:
            return _WORDS.findall(" ".join(f"word{n}" for n in range(1, manner.words + 1)))
        text = manner.text
        if text is None:
            text = f"This is {self.id}, a stub without a model behind it, answering as {model}."
        return _WORDS.findall(text)

    def _vary(self, seconds: float) -> float:
        jitter = self._manner.jitter
        return seconds * self._rng.uniform(1 - jitter, 1 + jitter) if jitter else seconds


class StubAnswer:
    """See ``interfaces.Upstream``. Words that are due together come together."""

    dropped_events = 0
    is_resent = False
    credential: str | None = None

    def __init__(
        self,
        start: e.Started,
        words: deque[tuple[float, str]],
        reason: e.FinishReason,
        usage: Usage,
    ) -> None:
        self._opening: e.Batch = [start, e.MessageStarted()]
        self._words = words
        self._ending: e.Batch = [e.MessageFinished(reason), e.UsageReported(usage), e.Finished()]

    async def receive(self) -> e.Batch:
        """The opening at once, then each word when it is due, the last one with the end."""
        if self._opening:
            await trio.lowlevel.checkpoint()
            batch, self._opening = self._opening, []
            return batch
        await trio.sleep_until(self._words[0][0] if self._words else trio.current_time())
        now = trio.current_time()
        batch = []
        while self._words and self._words[0][0] <= now:
            batch.append(e.TextDelta(self._words.popleft()[1]))
        return batch if self._words else batch + self._ending

    async def aclose(self) -> None:
        """There is nothing to give back."""


def _count_given(call: Call) -> int:
    """How many words of the answer are there already."""
    last = call.messages[-1] if call.messages else None
    if last is None or last.role is not Role.ASSISTANT:
        return 0
    return sum(len(part.text.split()) for part in last.parts if isinstance(part, Text))


def _count_words(call: Call) -> int:
    """About as many tokens as the prompt has: its words."""
    parts = [part for message in call.messages for part in message.parts]
    return sum(len(part.text.split()) for part in parts if isinstance(part, Text))
