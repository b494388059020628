"""Stubs: what they say, when they say it, how they refuse."""

import itertools
import random

import pytest
import trio
from trio.testing import MockClock

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Text
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.interfaces import Backend, Upstream
from lipstream.lifecycle.grammar import Grammar
from lipstream.upstream.stub import Manner, StubBackend
from tests.fakes import make_call

CANDIDATE = Candidate("stub", "m")


async def answer(manner: Manner, call: Call | None = None) -> list[tuple[float, e.Batch]]:
    """All batches of one answer, with the seconds since the call."""
    began = trio.current_time()
    upstream = await StubBackend("stub", manner).open(call or make_call(), CANDIDATE)
    batches: list[tuple[float, e.Batch]] = []
    while not (batches and type(batches[-1][1][-1]) in e.TERMINAL):
        batch = await upstream.receive()
        batches.append((trio.current_time() - began, batch))
    await upstream.aclose()
    return batches


def events_of(batches: list[tuple[float, e.Batch]]) -> e.Batch:
    """The events without their times."""
    return [event for _, batch in batches for event in batch]


def text_of(batches: list[tuple[float, e.Batch]]) -> str:
    """The text of an answer."""
    return "".join(event.text for event in events_of(batches) if isinstance(event, e.TextDelta))


async def test_words_come_at_their_pace(autojump_clock: MockClock) -> None:
    """The opening at once, the first word after its time, the end with the last word."""
    batches = await answer(Manner(words=3, first_after=1.0, pace=0.5))
    assert [at for at, _ in batches] == [0.0, 1.0, 1.5, 2.0]
    assert [type(event) for event in batches[0][1]] == [e.Started, e.MessageStarted]
    assert text_of(batches) == "word1 word2 word3"
    assert type(batches[-1][1][-1]) is e.Finished


async def test_words_that_are_due_together_come_together(autojump_clock: MockClock) -> None:
    """As from a network read that came late."""
    batches = await answer(Manner(words=3, pace=0.0))
    assert len(batches) == 2


async def test_slow_reader_gets_what_is_due_at_once(autojump_clock: MockClock) -> None:
    """The pace is the stub's, not the reader's."""
    upstream = await StubBackend("stub", Manner(words=4, pace=1.0)).open(make_call(), CANDIDATE)
    await upstream.receive()
    await trio.sleep(2.5)
    assert [type(event) for event in await upstream.receive()] == [e.TextDelta] * 3


async def test_text_is_said_as_it_is_written(autojump_clock: MockClock) -> None:
    """Blanks included."""
    assert text_of(await answer(Manner(text="a  b\nc", pace=0.0))) == "a  b\nc"


async def test_default_text_names_stub_and_model(autojump_clock: MockClock) -> None:
    """Who tries a route sees who answered."""
    text = text_of(await answer(Manner(pace=0.0)))
    assert "This is stub," in text
    assert text.endswith("answering as m.")


@pytest.mark.parametrize("manner", [Manner(text=""), Manner(words=5), Manner()])
async def test_answer_follows_the_grammar(manner: Manner, autojump_clock: MockClock) -> None:
    """Also the empty one."""
    grammar = Grammar()
    grammar.check(events_of(await answer(manner)))
    assert grammar.is_terminal


async def test_token_limit_cuts_the_answer(autojump_clock: MockClock) -> None:
    """With the reason that a model would give."""
    call = make_call(options=Options(max_output_tokens=2))
    batches = await answer(Manner(words=5, pace=0.0), call)
    assert text_of(batches) == "word1 word2"
    reasons = [event.reason for event in events_of(batches) if isinstance(event, e.MessageFinished)]
    assert reasons == [e.FinishReason.LENGTH]


async def test_usage_counts_words(autojump_clock: MockClock) -> None:
    """Near enough to tokens for trying things out."""
    batches = await answer(Manner(words=5, pace=0.0))
    (usage,) = [event.usage for event in events_of(batches) if isinstance(event, e.UsageReported)]
    assert (usage.input_tokens, usage.output_tokens) == (1, 5)


async def test_refusal_comes_when_the_first_word_would(autojump_clock: MockClock) -> None:
    """As a fault of the server, which sends the call elsewhere."""
    began = trio.current_time()
    with pytest.raises(UpstreamFault) as caught:
        await answer(Manner(first_after=2.0, fail_share=1.0))
    assert trio.current_time() - began == 2.0
    assert (caught.value.kind, caught.value.status) == (FaultKind.SERVER, 503)


async def test_share_of_refusals_is_kept(autojump_clock: MockClock) -> None:
    """Over many calls."""
    stub = StubBackend("stub", Manner(fail_share=0.3), rng=random.Random(1))
    refused = 0
    for _ in range(1000):
        try:
            await stub.open(make_call(), CANDIDATE)
        except UpstreamFault:
            refused += 1
    assert 250 < refused < 350


async def test_jitter_varies_the_times_and_keeps_the_order(autojump_clock: MockClock) -> None:
    """Up and down by the share that is given, and never backwards."""
    batches = await answer(Manner(words=50, first_after=1.0, pace=1.0, jitter=0.5))
    times = [at for at, _ in batches[1:]]
    assert 0.5 <= times[0] <= 1.5
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(0.499 <= gap <= 1.501 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.1


async def test_cancelled_receive_loses_no_word(autojump_clock: MockClock) -> None:
    """A race may look again."""
    stub: Backend = StubBackend("stub", Manner(words=2, first_after=1.0, pace=0.0))
    upstream: Upstream = await stub.open(make_call(), CANDIDATE)
    await upstream.receive()
    with trio.move_on_after(0.5):
        await upstream.receive()
    batch = await upstream.receive()
    assert [event.text for event in batch if isinstance(event, e.TextDelta)] == ["word1", " word2"]


async def test_same_seed_gives_the_same_times(autojump_clock: MockClock) -> None:
    """A seed makes a stub repeatable."""

    async def due() -> list[bool]:
        stub = StubBackend("stub", Manner(fail_share=0.5), rng=random.Random(7))
        outcomes = []
        for _ in range(20):
            try:
                await stub.open(make_call(), CANDIDATE)
                outcomes.append(True)
            except UpstreamFault:
                outcomes.append(False)
        return outcomes

    assert await due() == await due()


async def test_stub_goes_on_from_the_beginning_it_is_given(autojump_clock: MockClock) -> None:
    """It counts the words that are there and says the rest, so that a rescue can be tried out."""
    given = Message(Role.ASSISTANT, (Text("word1 word2"),))
    call = make_call().changed(messages=(*make_call().messages, given))
    assert text_of(await answer(Manner(words=4), call)) == " word3 word4"
    assert StubBackend("stub", Manner()).prefills
