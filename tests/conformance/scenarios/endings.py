"""How answers end, what they count, and what becomes of those that do not end well."""

from __future__ import annotations

from functools import partial

from lipstream.emulators.script import Script
from tests.conformance.expected import (
    FILTERED,
    REFUSED,
    counts,
    error_of,
)
from tests.conformance.material import PARITY
from tests.conformance.outcome import Counted, Failure
from tests.conformance.prompt import ask
from tests.conformance.scenarios.base import BOTH, STREAMED, Scenario
from tests.conformance.stage import DIRECT, Stage

RETRY_AFTER = 61


def hit_stop(stage: Stage) -> None:
    """An answer that a stop sequence ended has come to its end."""
    stage.play(Script(text=PARITY, stop_sequence="END"))
    answer = stage.answer(ask("Say it.").saying(stop=["END"]))
    assert PARITY == answer.text
    assert "stop" == answer.finish


def run_out(stage: Stage) -> None:
    """An answer that the limit of tokens cut says so."""
    stage.play(Script(text=PARITY, finish_reason="length"))
    answer = stage.answer(ask("Say it.").saying(max_tokens=16))
    assert PARITY == answer.text
    assert "length" == answer.finish


def be_filtered(stage: Stage) -> None:
    """An answer that a content filter cut says so."""
    stage.play(Script(text="I was going to", finish_reason="content_filter"))
    answer = stage.answer(ask("Say it."))
    assert answer.finish in FILTERED[stage.frontend]


def be_blocked(stage: Stage) -> None:
    """A prompt that the provider refuses ends by a filter, or in an error that says so."""
    stage.play(Script(block_reason="PROHIBITED_CONTENT"))
    reply = stage.ask(ask("Say it."))
    if isinstance(reply, Failure):
        assert 400 == reply.status
        assert "content policy" in reply.message
    else:
        assert "" == reply.text
        assert reply.finish in FILTERED[stage.frontend]


def be_refused(stage: Stage) -> None:
    """A refusal is told apart from an answer, in the model's words where the provider gives any."""
    stage.play(Script(refusal="I will not say that."))
    answer = stage.answer(ask("Say it."))
    assert answer.finish in REFUSED[stage.frontend] | FILTERED[stage.frontend]
    if stage.backend != "gemini":
        assert "I will not say that." in (answer.refusal or answer.text)


def count(stage: Stage) -> None:
    """All count alike: the input with what was cached, the output with reasoning."""
    told = Counted(input=1_000, output=50, cached=600, cache_write=100, reasoning=3)
    stage.play(
        Script(
            text=PARITY,
            reasoning="Let me think.",
            input_tokens=told.input,
            output_tokens=told.output,
            cache_read_tokens=600,
            cache_write_tokens=100,
        )
    )
    answer = stage.answer(ask("Say it.").saying(shows_reasoning=True))
    assert counts(stage, told) == answer.usage


def count_nothing(stage: Stage) -> None:
    """What a provider does not count is not made up."""
    stage.play(Script(text=PARITY, usage=False))
    usage = stage.answer(ask("Say it.")).usage
    for value in (usage.input, usage.output, usage.cached, usage.cache_write, usage.reasoning):
        assert value in (None, 0)


# ---------------------------------------------------------------- errors


def fail(stage: Stage, status: int) -> None:
    """An error before the answer has the class, the status and the words of the client's SDK."""
    sick = stage if stage.kind == DIRECT else stage.failing()
    sick.play(Script(status=status, retry_after=RETRY_AFTER if status == 429 else None))
    failure = sick.failure(ask("Say it."))
    if stage.kind == DIRECT:
        assert failure.status is not None
        assert failure.status >= 400
        return
    expected = error_of(stage.frontend, stage.backend, status)
    assert (expected.error, expected.status) == (failure.error, failure.status)
    assert set(expected.words) <= set(failure.words)
    if status == 429:
        assert str(RETRY_AFTER) == failure.retry_after
    assert "sk-" not in failure.message


def break_off(stage: Stage, script: Script) -> None:
    """An answer that breaks off is an error, never an end; what had come was sent."""
    sick = stage if stage.kind == DIRECT else stage.failing()
    sick.play(script)
    failure = sick.failure(ask("Count."))
    if stage.is_streaming:
        assert failure.before is not None
        assert failure.before.text.startswith("word1 word2")
        assert failure.before.finish is None
    else:
        assert failure.status is not None
        assert failure.status >= 500


def fail_at_once(stage: Stage, script: Script) -> None:
    """An answer that breaks off before its first word is an HTTP error, streamed or not."""
    sick = stage.failing()
    sick.play(script)
    failure = sick.failure(ask("Count."))
    assert failure.status is not None
    assert 500 <= failure.status < 600
    assert failure.words != ()
    assert failure.before is None or "" == failure.before.text


def leave(stage: Stage) -> None:
    """When the client hangs up, so does the proxy: at once, at the provider's socket."""
    stage.play(Script(words=2_000, pace=0.01))
    stream = stage.open(ask("Count."))
    assert next(iter(stream)) is not None
    stream.close()
    assert stage.rig.until(lambda: _entry(stage).closed_at is not None)
    assert "aborted_by_client" == _entry(stage).outcome


def _entry(stage: Stage):  # type: ignore[no-untyped-def]
    return stage.rig.emulators[stage.emulator].ledger.of_model(stage.model)[0]


STATUSES = (400, 401, 403, 404, 429, 500, 529)
BREAKS = {
    "error_midstream": Script(words=30, error_after=10),
    "cut_midstream": Script(words=30, cut_after=10),
    "reset_midstream": Script(words=30, reset_after=10, pace=0.001),
}
EARLY = {
    "error_at_once": Script(words=30, error_after=0),
    "cut_at_once": Script(words=30, cut_after=0),
    "garbage": Script(garbage="body"),
}

SCENARIOS = (
    Scenario("stop_sequence", hit_stop, words=frozenset(("stop",))),
    Scenario("length", run_out, BOTH),
    Scenario("content_filter", be_filtered, BOTH),
    Scenario("prompt_blocked", be_blocked, BOTH),
    Scenario("refusal", be_refused, BOTH),
    Scenario("usage", count, BOTH),
    Scenario("usage_absent", count_nothing, BOTH),
    *(Scenario(f"error_{status}", partial(fail, status=status)) for status in STATUSES),
    *(
        Scenario(name, partial(break_off, script=script), direct_modes=STREAMED)
        for name, script in BREAKS.items()
    ),
    *(
        Scenario(name, partial(fail_at_once, script=script), direct_modes=())
        for name, script in EARLY.items()
    ),
    Scenario("cancel", leave, STREAMED),
)
