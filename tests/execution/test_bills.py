"""What the attempts of an exchange are booked with. Virtual time."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Text
from lipstream.canonical.policy import Policy
from lipstream.canonical.price import Price, Tariff
from lipstream.canonical.usage import Usage
from lipstream.errors import FaultKind
from lipstream.lifecycle.bill import NOTHING, Bill
from tests.fakes import END, START, Run, Script, Step, fault, make_call, run_exchange, says

PRICE = Price(input=1_000_000.0, output=1_000_000.0)  # a dollar for each token
POLICY = Policy(
    tariffs={
        "a": Tariff(prices={"*": PRICE}, cancel_stops_billing=True),
        "b": Tariff(prices={"*": PRICE}),
    },
    patience=None,
)
REPORT = e.UsageReported(Usage(input_tokens=7, output_tokens=3))
WINNER = Script(
    (Step(0, START), Step(0.5, [e.TextDelta("hello")]), Step(0, [REPORT]), Step(0, END))
)
BLANKS = Script((Step(0, START), Step(0.1, [e.TextDelta(" " * 40)]), Step(9, END)))


def call_of_ten_tokens() -> Call:
    """A prompt of forty characters."""
    return make_call().changed(messages=(Message(Role.USER, (Text("x" * 40),)),))


async def run(selector: str, scripts: dict[str, Script], policy: Policy = POLICY) -> Run:
    """One exchange."""
    return await run_exchange(selector, scripts, policy, call=call_of_ten_tokens())


def bills(done: Run) -> dict[str, Bill]:
    """By backend."""
    return {attempt.candidate.backend: attempt.bill for attempt in done.record.attempts}


async def test_winner_is_booked_with_what_was_reported(autojump_clock: MockClock) -> None:
    """Nothing of it is waste."""
    done = await run("a:m", {"a": WINNER})
    assert bills(done)["a"] == Bill(
        input_tokens=7, output_tokens=3, has_reported_tokens=True, dollars=10.0
    )
    assert done.record.waste == NOTHING


@pytest.mark.parametrize(("loser", "is_floor"), [("a", False), ("b", True)])
async def test_loser_is_booked_with_what_was_seen(
    loser: str, is_floor: bool, autojump_clock: MockClock
) -> None:
    """Prompt and text, as estimates; a floor where cancelling may not stop the bill."""
    winner = "b" if loser == "a" else "a"
    done = await run("a:m!b:m", {loser: BLANKS, winner: WINNER})
    booked = Bill(input_tokens=10, output_tokens=10, dollars=20.0, is_floor=is_floor)
    assert bills(done)[loser] == booked
    assert done.record.waste == booked


async def test_waste_is_the_sum_of_all_that_lost(autojump_clock: MockClock) -> None:
    """A leg that hangs before its head has its prompt, one that was refused has nothing."""
    refused = Script(refusal=fault(FaultKind.RATE_LIMIT, 429))
    scripts = {"a": BLANKS, "b": Script(headers_after=None), "c": refused, "d": WINNER}
    done = await run("a:m!b:m!c:m!d:m", scripts, Policy(max_attempts=4, tariffs=POLICY.tariffs))
    assert done.record.waste == Bill(input_tokens=20, output_tokens=10, dollars=30.0, is_floor=True)
    assert bills(done)["c"] == NOTHING


async def test_attempts_without_a_winner_are_waste_too(autojump_clock: MockClock) -> None:
    """The client got nothing of them."""
    broken = Script((Step(0, START), Step(0, fault(FaultKind.TRUNCATED))))
    done = await run("a:m|b:m", {"a": broken, "b": broken})
    assert done.record.waste.tokens == 20


async def test_answer_that_was_cut_is_no_waste(autojump_clock: MockClock) -> None:
    """The client has got part of it; the bill tells what it came to."""
    cut = Script((*says("hello")[:-1], Step(1, fault(FaultKind.READ))))
    done = await run("b:m", {"b": cut})
    assert bills(done)["b"] == Bill(input_tokens=10, output_tokens=1, dollars=11.0, is_floor=True)
    assert done.record.waste == NOTHING


async def test_backend_without_a_tariff_has_tokens_alone(autojump_clock: MockClock) -> None:
    """No price is made up."""
    done = await run("c:m", {"c": WINNER})
    assert (bills(done)["c"].tokens, bills(done)["c"].dollars) == (10, None)


async def test_cancel_of_a_loser_has_its_time(autojump_clock: MockClock) -> None:
    """From the winner's first content on; the closing of its upstream comes after it."""
    slow = Script((Step(0, START), Step(9, END)), close_takes=0.25)
    done = await run("a:m!b:m", {"a": slow, "b": WINNER})
    lost, won = done.record.attempts
    assert lost.cancelled_at == pytest.approx(0.5)
    assert lost.closed_at == pytest.approx(0.75)
    assert won.cancelled_at is None
