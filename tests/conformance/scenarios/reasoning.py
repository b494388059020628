"""Reasoning: shown to whoever asks, replayed to the model that it came from, and to nobody else."""

from __future__ import annotations

from lipstream.emulators.script import Script
from lipstream.emulators.seen import SeenReasoning
from tests.conformance.material import COLOGNE, PARITY, WEATHER
from tests.conformance.outcome import Outcome
from tests.conformance.prompt import Prompt, Replay, Result, ask, assistant, user
from tests.conformance.scenarios.base import BOTH, Scenario
from tests.conformance.stage import Stage

THOUGHT = "The user wants to know. I should look it up, shouldn't I?"
QUESTION = "What is the weather?"

UNSIGNED = "skip_thought_signature_validator"
"""What Gemini documents for calls that another provider's model made."""

PROVING = frozenset(("openai_responses", "anthropic_messages"))
"""Providers whose reasoning carries a proof; Gemini's is on the calls, OpenAI's chat has none."""


def think_aloud(stage: Stage) -> None:
    """Reasoning comes to the client that asked for it, before the answer and apart from it."""
    stage.play(Script(reasoning=THOUGHT, text=PARITY))
    answer = stage.answer(ask(QUESTION).saying(shows_reasoning=True))
    assert THOUGHT == answer.reasoning
    assert PARITY == answer.text
    assert "stop" == answer.finish


def think_quietly(stage: Stage) -> None:
    """Reasoning that nobody asked for does no harm to the answer."""
    stage.play(Script(reasoning=THOUGHT, text=PARITY))
    answer = stage.answer(ask(QUESTION))
    assert PARITY == answer.text
    if stage.frontend == "gemini" and not stage.is_own:
        assert "" == answer.reasoning


def think_on(stage: Stage) -> None:
    """In a tool loop the model gets its own reasoning back, with every proof as it made it."""
    stage.play(Script(reasoning=THOUGHT, tool_calls=(COLOGNE,), tool_rounds=2))
    prompt = ask(QUESTION, tools=(WEATHER,)).saying(shows_reasoning=True)
    for _ in range(2):
        prompt = _further(prompt, stage.answer(prompt))
    assert "stop" == stage.answer(prompt).finish
    _check_returned(stage, 2)


def think_in_secret(stage: Stage) -> None:
    """Reasoning that the provider shows to nobody goes back to it all the same."""
    stage.play(Script(redacted=1, tool_calls=(COLOGNE,), tool_rounds=2))
    prompt = ask(QUESTION, tools=(WEATHER,)).saying(shows_reasoning=True)
    for _ in range(2):
        answer = stage.answer(prompt)
        assert "" == answer.reasoning
        prompt = _further(prompt, answer)
    assert "stop" == stage.answer(prompt).finish
    if stage.backend in PROVING:
        assert [True, True] == [part.is_redacted for part in stage.seen.reasoning]
        assert all(part.proof for part in stage.seen.reasoning)


def think_elsewhere(stage: Stage) -> None:
    """No other model gets the proofs, no other protocol the reasoning; its own gets both back.

    A client and a provider of one protocol are alone with each other: reasoning without a proof is
    text that the client writes, and is written.
    """
    script = Script(reasoning=THOUGHT, tool_calls=(COLOGNE,), tool_rounds=2)
    others = [stage.changed(kind=kind) for kind in _neighbours(stage)]
    for place in (stage, *others):
        place.play(script)
    prompt = ask(QUESTION, tools=(WEATHER,)).saying(shows_reasoning=True)
    prompt = _further(prompt, stage.answer(prompt))
    for other in others:
        other.answer(prompt)
        assert {call.proof for call in other.seen.calls} <= {None, UNSIGNED}
        assert [] == [part for part in other.seen.reasoning if part.proof]
        if not other.is_own:
            assert [] == other.seen.reasoning
    stage.answer(prompt)
    _check_returned(stage, 1)


def _neighbours(stage: Stage) -> list[str]:
    """The same kind (with another model), and one that speaks another protocol."""
    foreign = [
        kind for kind in stage.rig.kinds if stage.changed(kind=kind).backend != stage.backend
    ]
    at = stage.rig.kinds.index(stage.kind)
    return [stage.kind, foreign[at % len(foreign)]]


def _further(prompt: Prompt, answer: Outcome) -> Prompt:
    (call,) = answer.calls
    replay = assistant(Replay(answer.native))
    return prompt.then(replay, user(Result(call.id, call.name, "sunny")))


def _check_returned(stage: Stage, count: int) -> None:
    """The emulators refuse a proof that is not their own, not whole, or of another text."""
    if stage.backend in PROVING:
        reasoning = stage.seen.reasoning
        assert [THOUGHT] * count == [part.text for part in reasoning]
        assert all(part.proof for part in reasoning)
        kinds = [type(part) for turn in stage.seen.turns for part in turn.parts[:1]]
        assert count == kinds.count(SeenReasoning)
    if stage.backend == "gemini":
        assert count == len([call for call in stage.seen.calls if call.proof])
    if stage.backend == "openai_chat":
        assert [THOUGHT] * count == [part.text for part in stage.seen.reasoning]


GEMINI_3 = (("gemini", "gemini-3-pro-preview"),)

SCENARIOS = (
    Scenario("reasoning_shown", think_aloud, BOTH),
    Scenario("reasoning_unasked", think_quietly, BOTH),
    Scenario("reasoning_loop", think_on, BOTH),
    Scenario("reasoning_loop_gemini_3", think_on, BOTH, stems=GEMINI_3),
    Scenario("reasoning_redacted", think_in_secret, BOTH),
    Scenario("reasoning_travels", think_elsewhere, BOTH, direct_modes=()),
    Scenario("reasoning_travels_gemini_3", think_elsewhere, BOTH, direct_modes=(), stems=GEMINI_3),
)
