"""Options: each reaches the provider, or the client is told that it did not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from lipstream.canonical.losses import Fate
from lipstream.canonical.reasoning import BUDGETS
from lipstream.compose import DIALECTS
from lipstream.emulators.script import Script
from tests.conformance.material import CLOCK, PARITY, SCHEMA, WEATHER
from tests.conformance.outcome import Failure
from tests.conformance.prompt import Prompt, ask
from tests.conformance.scenarios.base import WHOLE, Scenario
from tests.conformance.stage import Stage


@attrs.frozen
class Option:
    """One option.

    Attributes:
        notion: Its name in ``canonical.losses.NOTIONS``.
        value: What the client says.
        names: Under which of ``Seen.options`` it may be found.
        mark: What stands in the body, of what is not among these.
        has_tools: Whether it says something about tools alone.
    """

    notion: str
    value: Any
    names: tuple[str, ...] = ()
    mark: str = ""
    has_tools: bool = False


def _same(name: str, value: Any, notion: str = "") -> Option:
    return Option(notion or name, value, (name,))


REASONING = ("reasoning_effort", "reasoning_budget", "shows_reasoning")

OPTIONS: Mapping[str, Option] = {
    "max_tokens": _same("max_tokens", 1_234, "max_output_tokens"),
    "temperature": _same("temperature", 0.5),
    "top_p": _same("top_p", 0.75),
    "top_k": Option("top_k", 40, ("top_k",), mark="top_k"),
    "stop": _same("stop", ["END", "STOP"]),
    "seed": _same("seed", 7),
    "frequency_penalty": _same("frequency_penalty", 0.25),
    "presence_penalty": _same("presence_penalty", 0.5),
    "user": _same("user", "user-4711"),
    "parallel_tool_calls": Option(
        "parallel_tool_calls", False, ("parallel_tool_calls",), has_tools=True
    ),
    "reasoning_effort": Option("reasoning", "low", REASONING),
    "reasoning_budget": Option("reasoning", 2_048, REASONING),
    "verbosity": _same("verbosity", "low"),
    "json_mode": Option("json_object", True, ("json_mode", "json_schema")),
    "json_schema": Option("json_schema", SCHEMA, ("json_schema",)),
    "metadata": Option("metadata", {"trace": "m-4711"}, mark="m-4711"),
    "logprobs": Option("logprobs", True, mark="logprobs"),
}


def say_option(stage: Stage, name: str) -> None:
    """An option that the provider knows arrives, any other one is named to the client."""
    option = OPTIONS[name]
    stage.play(Script(text=PARITY))
    tools = (WEATHER, CLOCK) if option.has_tools else ()
    prompt = ask("Answer in JSON.", tools=tools).saying(**{name: option.value})
    fate = _fate(stage, option)
    if fate is Fate.REFUSED:
        _check_refused(stage, prompt)
        return
    answer = stage.answer(prompt)
    assert PARITY == answer.text
    told = option.notion in answer.dropped
    assert (fate is Fate.DROPPED) == told, answer.dropped
    assert told != _has_arrived(stage, option), stage.body
    if fate is Fate.KEPT:
        _check_kept(stage, option)


def _fate(stage: Stage, option: Option) -> Fate:
    if stage.is_own:
        return Fate.KEPT
    return DIALECTS[stage.backend].support[option.notion]


def _check_refused(stage: Stage, prompt: Prompt) -> None:
    reply = stage.ask(prompt)
    assert isinstance(reply, Failure)
    assert 400 == reply.status


def _has_arrived(stage: Stage, option: Option) -> bool:
    if any(name in stage.seen.options for name in option.names):
        return True
    return bool(option.mark) and option.mark in json.dumps(stage.body).lower()


def _check_kept(stage: Stage, option: Option) -> None:
    for name in option.names:
        check = _CHECKS.get(name, _check_equal)
        if name in stage.seen.options:
            check(option.value, stage.seen.options[name])


def _check_equal(said: Any, seen: Any) -> None:
    assert said == seen


def _check_effort(said: Any, seen: Any) -> None:
    assert seen in BUDGETS if isinstance(said, int) else said == seen


def _check_budget(said: Any, seen: Any) -> None:
    assert seen == said if isinstance(said, int) else seen >= 1_024


def _check_anything(said: Any, seen: Any) -> None:
    """It may go with another option."""


_CHECKS: Mapping[str, Callable[[Any, Any], None]] = {
    "reasoning_effort": _check_effort,
    "reasoning_budget": _check_budget,
    "shows_reasoning": _check_anything,
    "json_mode": _check_anything,
}


def structure(stage: Stage) -> None:
    """The schema that the answer has to follow arrives, and the answer parses."""
    stage.play(Script(text='{"city": "Köln", "degrees": 21.5}', delta_size=3))
    answer = stage.answer(ask("Weather in JSON.").saying(json_schema=SCHEMA))
    assert {"city": "Köln", "degrees": 21.5} == json.loads(answer.text)
    seen = stage.seen.options["json_schema"]
    seen = json.loads(seen) if isinstance(seen, str) else seen
    assert set(SCHEMA["properties"]) == set(seen["properties"])  # type: ignore[call-overload]
    assert SCHEMA["required"] == seen["required"]


def say_too_much(stage: Stage) -> None:
    """A temperature beyond the provider's scale is clamped, not refused."""
    stage.play(Script(text=PARITY))
    answer = stage.answer(ask("Be wild.").saying(temperature=1.5))
    assert PARITY == answer.text
    if stage.backend in ("anthropic_messages", "bedrock_converse"):
        assert 1 == stage.seen.options["temperature"]
    else:
        assert 1.5 == stage.seen.options["temperature"]


THINKERS = (("openai_chat", "gpt-5-mini"),)
"""OpenAI refuses an effort for models that do not reason."""

SCENARIOS = (
    *(
        Scenario(
            f"option_{name}",
            partial(say_option, name=name),
            WHOLE,
            frozenset((name,)),
            stems=THINKERS if option.notion == "reasoning" else (),
        )
        for name, option in OPTIONS.items()
    ),
    Scenario("structured_output", structure, words=frozenset(("json_schema",))),
    Scenario("hot_temperature", say_too_much, WHOLE, direct_modes=()),
)
