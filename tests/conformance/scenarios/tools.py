"""Tools: declared, chosen, called, answered, over several turns and in every shape of result."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from lipstream.emulators.script import Script, ToolCall
from tests.conformance.material import (
    BONN,
    CLOCK,
    COLOGNE,
    PARITY,
    WEATHER,
    ZONE,
    digest,
    digests,
    loosely,
    picture,
)
from tests.conformance.outcome import Outcome
from tests.conformance.prompt import (
    Allowed,
    Call,
    Media,
    Named,
    Prompt,
    Replay,
    Result,
    ask,
    assistant,
    user,
)
from tests.conformance.scenarios.base import BOTH, WHOLE, Scenario
from tests.conformance.stage import Stage

TOOLS = (WEATHER, CLOCK)
QUESTION = "What is the weather, and what the time?"

ROUNDS = 2
"""Of calls and results; with the question and the answer they are a conversation of three turns."""


def call_tool(stage: Stage) -> None:
    """A tool's declaration arrives, the model's call of it comes back."""
    stage.play(Script(tool_calls=(COLOGNE,)))
    answer = stage.answer(ask(QUESTION, tools=TOOLS))
    (call,) = answer.calls
    assert ("weather", {"city": "Köln"}) == (call.name, call.arguments)
    assert "tool_calls" == answer.finish
    assert "" == answer.text
    declared = [(tool.name, tool.description, tool.schema) for tool in stage.seen.tools]
    assert [(t.name, t.description, t.schema) for t in TOOLS] == declared


def call_tools(stage: Stage) -> None:
    """Calls of one turn stay apart, with text before them, and have ids of their own."""
    stage.play(Script(text=PARITY, tool_calls=(COLOGNE, BONN, ZONE)))
    answer = stage.answer(ask(QUESTION, tools=TOOLS))
    said = [(call.name, call.arguments) for call in answer.calls]
    assert [
        ("weather", {"city": "Köln"}),
        ("weather", {"city": "Bonn"}),
        ("clock", {"zone": "CET"}),
    ] == said
    assert PARITY == answer.text
    assert "tool_calls" == answer.finish
    if not (stage.is_own and stage.backend == "gemini"):  # which has none
        assert 3 == len({call.id for call in answer.calls})


def call_plain_tool(stage: Stage) -> None:
    """A call without arguments has an empty object."""
    stage.play(Script(tool_calls=(ToolCall("now"),)))
    answer = stage.answer(ask(QUESTION, tools=TOOLS))
    assert [("now", {})] == [(call.name, call.arguments) for call in answer.calls]


def call_and_answer(stage: Stage, value: Any = "sunny", images: tuple[Media, ...] = ()) -> None:
    """Every call's result reaches the model, turn after turn, as the tool gave it."""
    stage.play(Script(tool_calls=(COLOGNE, ZONE), tool_rounds=ROUNDS))
    report = _loop(stage, ask(QUESTION, tools=TOOLS), value, images)
    assert ["weather", "clock"] == [result["name"] for result in report["results"]]
    arguments = [{"city": "Köln"}, {"zone": "CET"}]
    assert arguments == [result["arguments"] for result in report["results"]]
    assert [value] * 2 == [loosely(result["text"]) for result in report["results"]]
    assert 2 * len(images) == report["images"]
    assert 2 * ROUNDS == len(stage.seen.calls) == len(stage.seen.results)
    assert {digest(image.data) for image in images} <= digests(stage.body)


def _loop(stage: Stage, prompt: Prompt, value: Any, images: tuple[Media, ...]) -> Any:
    """What the model reports of the last results."""
    for _ in range(ROUNDS):
        answer = stage.answer(prompt)
        assert "tool_calls" == answer.finish
        prompt = prompt.then(assistant(Replay(answer.native)), _results(answer, value, images))
    final = stage.answer(prompt)
    assert "stop" == final.finish
    return json.loads(final.text)


def _results(answer: Outcome, value: Any, images: tuple[Media, ...]) -> Any:
    return user(*(Result(c.id, c.name, value, images=images) for c in answer.calls))


def fail_tool(stage: Stage) -> None:
    """A tool's failure reaches the model as one, or at least in its words."""
    stage.play(Script(tool_calls=(COLOGNE,), tool_rounds=1))
    prompt = ask(QUESTION, tools=TOOLS)
    (call,) = (answer := stage.answer(prompt)).calls
    failed = Result(call.id, call.name, "no such city", is_error=True)
    final = stage.answer(prompt.then(assistant(Replay(answer.native)), user(failed)))
    (result,) = json.loads(final.text)["results"]
    assert "no such city" in result["text"]
    tells = {"anthropic_messages", "gemini"}
    if stage.frontend in tells and stage.backend in tells:
        assert result["is_error"] is True


def answer_out_of_order(stage: Stage) -> None:
    """Results find their calls by id, in whatever order they come, and text may follow them."""
    stage.play(Script(tool_calls=(COLOGNE, BONN), tool_rounds=1))
    prompt = ask(QUESTION, tools=TOOLS)
    answer = stage.answer(prompt)
    cities = {call.id: call.arguments["city"] for call in answer.calls}
    calls = reversed(answer.calls) if len(cities) > 1 else answer.calls
    results = [Result(call.id, call.name, call.arguments["city"]) for call in calls]
    turns = assistant(Replay(answer.native)), user(*results, "And now?")
    stage.answer(prompt.then(*turns))
    told: dict[Any, Any] = {call.id: call.arguments["city"] for call in stage.seen.calls}
    texts: dict[Any, Any] = {r.call_id: loosely(r.text) for r in stage.seen.results}
    if None in told:  # no ids: the order is all there is
        told = dict(enumerate(call.arguments["city"] for call in stage.seen.calls))
        texts = dict(enumerate(loosely(result.text) for result in stage.seen.results))
    assert told == texts
    assert "And now?" == stage.seen.texts[-1]


def bring_history(stage: Stage) -> None:
    """Calls and results of a conversation that another provider led are taken."""
    stage.play(Script(text=PARITY))
    weather = Call("toolu_01abc", "weather", {"city": "Köln"})
    clock = Call("toolu_02def", "clock", {"zone": "CET"})
    first = assistant("One moment.", weather, clock)
    results = user(
        Result("toolu_01abc", "weather", "sunny"), Result("toolu_02def", "clock", "noon")
    )
    prompt = ask(QUESTION, tools=TOOLS).then(first, results, assistant("Sunny."), user("Thanks."))
    assert PARITY == stage.answer(prompt).text
    assert ["weather", "clock"] == [call.name for call in stage.seen.calls]
    assert ["sunny", "noon"] == [loosely(result.text) for result in stage.seen.results]
    assert [QUESTION, "One moment.", "Sunny.", "Thanks."] == stage.seen.texts


def choose(stage: Stage, choice: Any, expected: Any) -> None:
    """The client's choice of tools arrives."""
    stage.play(Script(text=PARITY) if choice in ("none", "auto") else Script(tool_calls=(COLOGNE,)))
    stage.answer(ask(QUESTION, tools=TOOLS, tool_choice=choice))
    if choice == "none" and not stage.seen.tools:  # the other way to say it
        return
    assert expected == stage.seen.options.get("tool_choice", "auto")


def allow(stage: Stage, mode: Any) -> None:
    """Only the allowed tools may be called: by word, or because there are no others."""
    stage.play(Script(tool_calls=(COLOGNE,)))
    stage.answer(ask(QUESTION, tools=TOOLS, tool_choice=Allowed(mode, ("weather",))))
    names = [tool.name for tool in stage.seen.tools]
    if names != ["weather"]:
        assert ["weather", "clock"] == names
        choice = json.dumps(_choice_in(stage.body))
        assert "weather" in choice
        assert "clock" not in choice


def _choice_in(body: Any) -> Any:
    config = body.get("toolConfig") or {}
    return body.get("tool_choice") or config.get("toolChoice") or config


IMAGE = (picture(1_000),)
OBJECT = {"degrees": 21.5, "sky": {"clouds": 3}}

SCENARIOS = (
    Scenario("tools", call_tool, is_common=True),
    Scenario("parallel_tools", call_tools),
    Scenario("empty_arguments", call_plain_tool),
    Scenario("tool_loop_string", call_and_answer, BOTH),
    Scenario("tool_loop_object", partial(call_and_answer, value=OBJECT), WHOLE),
    Scenario("tool_loop_list", partial(call_and_answer, value=["sunny", {"degrees": 3}]), WHOLE),
    Scenario("tool_loop_image", partial(call_and_answer, images=IMAGE), WHOLE),
    Scenario("tool_error", fail_tool, WHOLE),
    Scenario("results_out_of_order", answer_out_of_order, WHOLE),
    Scenario("foreign_history", bring_history, WHOLE),
    Scenario("choice_auto", partial(choose, choice="auto", expected="auto"), WHOLE),
    Scenario("choice_none", partial(choose, choice="none", expected="none"), WHOLE),
    Scenario("choice_any", partial(choose, choice="required", expected="required"), WHOLE),
    Scenario(
        "choice_named", partial(choose, choice=Named("weather"), expected={"name": "weather"})
    ),
    Scenario("choice_allowed", partial(allow, mode="auto"), WHOLE),
    Scenario("choice_allowed_any", partial(allow, mode="required"), WHOLE),
)
