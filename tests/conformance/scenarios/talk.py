"""Plain answers: what is said arrives, in both directions, however it is cut and however long."""

from __future__ import annotations

import json

from lipstream.emulators.script import Script, ToolCall
from tests.conformance.material import PARITY, UNICODE, WEATHER
from tests.conformance.prompt import ask, assistant, user
from tests.conformance.scenarios.base import STREAMED, WHOLE, Scenario
from tests.conformance.stage import Stage

HUGE = 1_000_000


def say_text(stage: Stage) -> None:
    """Text, instructions and the history arrive, the answer comes with its end and its model."""
    stage.play(Script(text=PARITY))
    prompt = ask("Hello.", system="Be brief.").then(assistant("Hi!"), user("Say it."))
    answer = stage.answer(prompt)
    assert PARITY == answer.text
    assert "stop" == answer.finish
    assert stage.model == answer.model
    assert answer.id
    assert ["Hello.", "Hi!", "Say it."] == stage.seen.texts
    assert "Be brief." == stage.seen.system
    if stage.is_streaming:
        assert answer.pieces > 3


def say_the_same(stage: Stage) -> None:
    """Streamed or not, the client is told the same."""
    call = ToolCall("weather", '{"city": "Bonn"}')
    script = Script(text=PARITY, reasoning="Maybe.", tool_calls=(call,), input_tokens=321)
    stage.play(script)
    prompt = ask("Say it.", tools=(WEATHER,)).saying(shows_reasoning=True)
    streamed = stage.answer(prompt)
    whole = stage.answer(prompt, is_streaming=False)
    assert streamed.said == whole.said
    assert PARITY == whole.text


def say_unicode(stage: Stage) -> None:
    """Every character survives in both directions, whatever piece it is cut into."""
    city = json.dumps({"city": UNICODE}, ensure_ascii=not stage.is_streaming)
    stage.play(Script(text=UNICODE, delta_size=1, tool_calls=(ToolCall("weather", city),)))
    answer = stage.answer(ask(UNICODE, system=UNICODE, tools=(WEATHER,)))
    assert UNICODE == answer.text
    assert [{"city": UNICODE}] == [call.arguments for call in answer.calls]
    assert [UNICODE] == stage.seen.texts
    assert UNICODE == stage.seen.system


def say_nothing(stage: Stage) -> None:
    """An empty answer is an answer."""
    stage.play(Script(text=""))
    answer = stage.answer(ask("Say nothing."))
    assert "" == answer.text
    assert "stop" == answer.finish
    assert () == answer.calls


def say_much(stage: Stage) -> None:
    """A megabyte in one event arrives whole."""
    text = "0123456789abcde\u00e9" * (HUGE // 16)
    stage.play(Script(text=text, delta_size=2 * HUGE))
    answer = stage.answer(ask("Say much."))
    assert len(text) == len(answer.text)
    assert text == answer.text


def say_bit_by_bit(stage: Stage) -> None:
    """Many small pieces arrive, all of them and in order."""
    stage.play(Script(words=400))
    answer = stage.answer(ask("Count."))
    assert " ".join(f"word{n}" for n in range(1, 401)) == answer.text
    if stage.is_streaming:
        assert 400 == answer.pieces


def say_oddly(stage: Stage) -> None:
    """A provider's comments, keep-alives, line ends and cuts are none of the client's business."""
    stage.play(Script(text=PARITY, crlf=True, comments=True, pings=True, bom=True, trickle=11))
    answer = stage.answer(ask("Say it."))
    assert PARITY == answer.text
    assert "stop" == answer.finish


def say_unasked(stage: Stage) -> None:
    """A provider that answers a request for a stream with a whole answer is understood."""
    stage.play(Script(text=PARITY, stream_ignored=True))
    answer = stage.answer(ask("Say it."))
    assert PARITY == answer.text
    assert "stop" == answer.finish


SCENARIOS = (
    Scenario("text", say_text, is_common=True),
    Scenario("parity", say_the_same, STREAMED),
    Scenario("unicode", say_unicode),
    Scenario("empty", say_nothing),
    Scenario("huge_delta", say_much),
    Scenario("many_deltas", say_bit_by_bit),
    Scenario("odd_framing", say_oddly, STREAMED, direct_modes=()),
    Scenario("stream_ignored", say_unasked, WHOLE, direct_modes=()),
)
