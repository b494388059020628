"""What an attempt comes to: each rule of the module, and sums."""

from __future__ import annotations

import math

import attrs
import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role, Tool
from lipstream.canonical.parts import Image, Part, Text, ToolCall, ToolResult
from lipstream.canonical.price import UNPRICED, Price, Tariff
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.lifecycle.bill import NOTHING, Bill, estimate_prompt, make_bill, total
from lipstream.lifecycle.tally import Tally

PROMPT = 100
PRICED = Tariff(prices={"m": Price(input=1e6, output=1e7)})  # dollars for each token: 1 and 10
STOPS = attrs.evolve(PRICED, cancel_stops_billing=True)
GOES_ON = attrs.evolve(PRICED, cancel_stops_billing=False)


def bill(
    *events: e.Event, fault: FaultKind | None = None, tariff: Tariff = PRICED, model: str = "m"
) -> Bill:
    """The bill after these events."""
    tally = Tally()
    tally.add(list(events))
    return make_bill(tally, fault, lambda: PROMPT, tariff, model)


def reported(
    given: int | None = None, made: int | None = None, cost: float | None = None
) -> e.UsageReported:
    """A report of tokens in and out, and of dollars."""
    return e.UsageReported(Usage(input_tokens=given, output_tokens=made, cost=cost))


@pytest.mark.parametrize(
    "fault",
    [FaultKind.CONNECT, FaultKind.RATE_LIMIT, FaultKind.BAD_REQUEST, FaultKind.SERVER],
)
def test_refused_attempt_costs_nothing(fault: FaultKind) -> None:
    """Whoever refuses does not charge."""
    assert bill(e.Started(), fault=fault) == NOTHING


def test_provider_that_failed_after_some_text_has_charged_for_it() -> None:
    """It broke off by itself, so there is no more to come."""
    made = bill(e.TextDelta("a" * 40), fault=FaultKind.SERVER)
    assert (made.input_tokens, made.output_tokens, made.tokens) == (PROMPT, 10, 110)
    assert not made.is_floor


def test_reported_tokens_are_taken_as_they_are() -> None:
    """And priced, where the provider names no price."""
    made = bill(e.TextDelta("hi"), reported(50, 5), e.Finished())
    assert made == Bill(input_tokens=50, output_tokens=5, has_reported_tokens=True, dollars=100.0)


def test_whole_answer_without_a_report_is_estimated() -> None:
    """All of it was seen, so it is no floor."""
    made = bill(e.TextDelta("a" * 40), e.Finished())
    assert made == Bill(input_tokens=PROMPT, output_tokens=10, dollars=200.0, is_floor=False)


@pytest.mark.parametrize(
    ("tariff", "is_floor"), [(STOPS, False), (GOES_ON, True), (PRICED, True), (UNPRICED, True)]
)
@pytest.mark.parametrize("fault", [None, FaultKind.TTFT, FaultKind.READ])
def test_what_was_given_up_is_a_floor_unless_cancelling_stops_the_bill(
    fault: FaultKind | None, tariff: Tariff, is_floor: bool
) -> None:
    """Nobody knows how long the answer would have become."""
    made = bill(e.TextDelta("a" * 40), fault=fault, tariff=tariff)
    assert (made.tokens, made.is_floor) == (110, is_floor)


def test_silent_loser_is_booked_with_its_prompt() -> None:
    """Most requests have got there, and losers would seem free otherwise."""
    assert bill() == Bill(input_tokens=PROMPT, dollars=100.0, is_floor=True)


@pytest.mark.parametrize("cost", [0.0, 0.25])
def test_reported_cost_wins_over_the_price(cost: float) -> None:
    """The provider knows what it charges; the record says whose figure it is."""
    made = bill(reported(1, 1, cost), e.Finished())
    assert (made.dollars, made.has_reported_dollars) == (cost, True)
    made = bill(reported(cost=cost), e.Finished(), tariff=UNPRICED)
    assert (made.dollars, made.has_reported_tokens) == (cost, False)


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf, None])
def test_cost_that_is_no_amount_is_not_believed(cost: float | None) -> None:
    """A sum must not go down or become no number."""
    made = bill(reported(0, 1, cost), e.Finished())
    assert made.dollars == 10.0
    assert not made.has_reported_dollars


def test_model_without_a_price_has_tokens_and_no_dollars() -> None:
    """None is not nothing."""
    made = bill(e.Finished(), model="other")
    assert (made.tokens, made.dollars) == (PROMPT, None)


# ---------------------------------------------------------------- sums

EXACT = Bill(
    input_tokens=1,
    output_tokens=2,
    has_reported_tokens=True,
    dollars=0.5,
    has_reported_dollars=True,
)
GUESS = Bill(input_tokens=10, output_tokens=20, dollars=0.25)


@pytest.mark.parametrize(
    ("bills", "expected"),
    [
        ([], NOTHING),
        ([NOTHING, NOTHING], NOTHING),
        ([NOTHING, EXACT], EXACT),
        ([EXACT, GUESS], Bill(input_tokens=11, output_tokens=22, dollars=0.75)),
        (
            [GUESS, attrs.evolve(GUESS, is_floor=True)],
            Bill(input_tokens=20, output_tokens=40, dollars=0.5, is_floor=True),
        ),
        (
            [GUESS, attrs.evolve(GUESS, dollars=None)],
            Bill(input_tokens=20, output_tokens=40, dollars=0.25, is_floor=True),
        ),
        (
            [attrs.evolve(GUESS, dollars=None)],
            Bill(input_tokens=10, output_tokens=20, dollars=None),
        ),
    ],
)
def test_sum_is_as_sure_as_its_least_sure_part(bills: list[Bill], expected: Bill) -> None:
    """One estimate makes an estimate, one floor or one unknown price makes a floor."""
    assert total(bills) == expected


# ---------------------------------------------------------------- the prompt


def call_of(*parts: Part, tools: tuple[Tool, ...] = ()) -> Call:
    """A call of one message."""
    return Call(dialect="test", model="m", messages=(Message(Role.USER, parts),), tools=tools)


@pytest.mark.parametrize(
    ("call", "tokens"),
    [
        (call_of(), 0),
        (call_of(Text("a" * 400), Text("b" * 40)), 110),
        (call_of(ToolCall("id", "find", "x" * 16)), 5),
        (call_of(ToolResult("id", (Text("a" * 40), Image("data:" + "x" * 999)))), 10),
        (call_of(tools=(Tool("find", "y" * 36),)), 10),
        (call_of(tools=(Tool("find", parameters={"type": "object", "half": "\ud800"}),)), 10),
    ],
)
def test_prompt_is_estimated_from_texts_and_tools(call: Call, tokens: int) -> None:
    """Four characters are a token; media are not counted."""
    assert estimate_prompt(call) == tokens
