"""The rest of an answer, out of what another model says: cut exactly where the first one broke off.

A model that is asked anew says everything again: what has been sent is dropped from its beginning,
character by character, and an answer that begins in any other way is a fault. A model that was
given the beginning as its own (a prefill) is expected to go on, and what it says is new. Some
servers repeat the beginning nevertheless. Whether a text that begins with all of it again repeats
it or really goes on like that cannot be known, so it is a fault too: nothing is sent twice on a
guess. Any other text is certainly no repetition, and most show it with their first word.

Pure, and O(1) for each piece of text. Who is asked, and how, is ``rescue``'s.
"""

from __future__ import annotations

from collections.abc import Callable

from lipstream.canonical import events as e
from lipstream.canonical.policy import CommitPoint
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.execution.prefix import Prefix
from lipstream.lifecycle.finish_line import FinishLine


def _fault(message: str) -> UpstreamFault:
    return UpstreamFault(FaultKind.PROTOCOL, message)


class Seam:
    """Where the text of the second answer joins the text that was sent.

    Args:
        sent: All the text that the client has.
        given: The beginning of it that the second model was given as its own words.
    """

    __slots__ = ("_at", "_doubted", "_dropped", "_echo", "_held")

    def __init__(self, sent: str, given: str = "") -> None:
        self._dropped = sent[len(given) :]
        self._at = 0  # so much of it has come
        self._echo = given  # what must not come again; empty once it is known not to
        self._doubted = 0  # so much of it has come all the same
        self._held: list[str] = []

    def join(self, text: str) -> str:
        """What is new in the next piece of text, as far as that is certain by now.

        Raises:
            UpstreamFault: the text does not go on from what was sent.
        """
        if self._echo:
            self._look_for_echo(text)
        self._held.append(self._drop(text))
        return "" if self._echo else self._release()

    def end(self, *, is_cut: bool = False) -> str:
        """What is still held, at the end of the text.

        Args:
            is_cut: The model had reached its limit, so the text could have become anything.

        Raises:
            UpstreamFault: there was less text than has been sent.
        """
        if self._at < len(self._dropped):
            raise _fault("the new answer ends before what was sent does")
        if is_cut and self._echo and self._doubted:
            raise _fault("the new answer may repeat what was sent")
        self._echo = ""
        return self._release()

    def _release(self) -> str:
        text = "".join(self._held)
        self._held.clear()
        return text

    def _look_for_echo(self, text: str) -> None:
        missing = len(self._echo) - self._doubted
        if len(text) < missing and self._echo.startswith(text, self._doubted):
            self._doubted += len(text)
        elif len(text) >= missing and text.startswith(self._echo[self._doubted :]):
            raise _fault("the new answer may repeat what was sent")
        else:
            self._echo = ""

    def _drop(self, text: str) -> str:
        missing = len(self._dropped) - self._at
        if missing == 0:
            return text
        old = text[:missing]
        if not self._dropped.startswith(old, self._at):
            raise _fault("the new answer does not begin with what was sent")
        self._at += len(old)
        return text[missing:]


class Continuation(Prefix):
    """What an attempt that goes on with an answer holds back, and what of its events is passed on.

    The client has its beginning, its reasoning and its choice of model: nothing of the kind comes
    from here. Nothing is passed on as it came either, because a frame of the second upstream names
    another answer and another model.

    Args:
        wants_sealed: A call of a tool may follow, for which sealed reasoning would have to be kept.
    """

    __slots__ = ("_first", "_seam", "_wants_sealed", "is_speaking")

    def __init__(self, point: CommitPoint, seam: Seam, *, wants_sealed: bool) -> None:
        super().__init__(point)
        self._first = FinishLine(point)
        self._seam = seam
        self._wants_sealed = wants_sealed
        self.is_speaking = False

    def add(self, batch: e.Batch) -> bool:
        """Holds what is new of a batch; True when the attempt may go on with the answer."""
        self.is_speaking = self.is_speaking or any(map(self._first.is_crossed_by, batch))
        return super().add(self.pass_on(batch))

    def pass_on(self, batch: e.Batch) -> e.Batch:
        """What is new of a batch.

        Raises:
            UpstreamFault: it does not go on from what was sent.
        """
        passed: e.Batch = []
        for event in batch:
            if getattr(event, "choice", 0) != 0:
                raise _fault("the new answer has more than one choice")
            rule = _RULES.get(type(event))
            if rule is not None:
                rule(self, event, passed)
        return passed

    def _on_text(self, event: e.TextDelta, passed: e.Batch) -> None:
        text = self._seam.join(event.text)
        if text:
            passed.append(e.TextDelta(text))

    def _on_part(self, event: e.PartFinished, passed: e.Batch) -> None:
        """A seal is for the whole part, of which the client has something else."""
        if event.kind == "reasoning" and event.seal is not None and self._wants_sealed:
            raise _fault("the new answer has sealed reasoning, which cannot be kept")

    def _on_other_content(self, event: e.Event, passed: e.Batch) -> None:
        self._close_seam(passed)
        passed.append(event.changed())

    def _on_message_end(self, event: e.MessageFinished, passed: e.Batch) -> None:
        self._close_seam(passed, is_cut=event.reason is e.FinishReason.LENGTH)
        passed.append(event.changed())

    def _on_aside(self, event: e.Event, passed: e.Batch) -> None:
        passed.append(event.changed())

    def _on_extra(self, event: e.Extra, passed: e.Batch) -> None:
        """What is said of the response is said of the first one."""
        if event.scope == "whole_part":
            self._on_other_content(event, passed)
        elif event.scope == "choice":
            passed.append(event.changed())

    def _close_seam(self, passed: e.Batch, *, is_cut: bool = False) -> None:
        text = self._seam.end(is_cut=is_cut)
        if text:
            passed.append(e.TextDelta(text))


# What is in no row (the beginning, reasoning) is left out.
_RULES: dict[type[e.Event], Callable[..., None]] = {
    e.TextDelta: Continuation._on_text,
    e.RefusalDelta: Continuation._on_other_content,
    e.ToolCallStarted: Continuation._on_other_content,
    e.ToolCallDelta: Continuation._on_other_content,
    e.ToolCallFinished: Continuation._on_other_content,
    e.Media: Continuation._on_other_content,
    e.PartFinished: Continuation._on_part,
    e.MessageFinished: Continuation._on_message_end,
    e.UsageReported: Continuation._on_aside,
    e.Notice: Continuation._on_aside,
    e.Extra: Continuation._on_extra,
    e.Finished: Continuation._on_aside,
    e.StreamFailed: Continuation._on_aside,
}
