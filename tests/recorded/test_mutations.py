"""Recorded streams, broken at random, through all decoders and encoders."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import settings

from lipstream.canonical import events as e
from lipstream.compose import DIALECTS
from lipstream.errors import BadRequest, ClientFault, UpstreamFault
from lipstream.server.ways import SERVERS
from tests.recorded.asking import encoded
from tests.recorded.material import Kind, Sample, samples
from tests.recorded.mutations import mutated, pieces, twisted
from tests.recorded.passage import (
    Reading,
    body_to,
    read_body,
    read_stream,
    stream_to,
    without_sources,
)

ROUNDS = settings.default.max_examples * 2 if settings.default else 50
LARGEST = 20_000


def streams() -> list[Sample]:
    """Streams that are not too long to be read often, those with errors included."""
    found = [sample for sample in samples() if sample.kind is Kind.STREAM]
    return [sample for sample in found if len(sample.body) < LARGEST]


def everywhere(reading: Reading, dialect: str) -> None:
    """Streams to all clients, and whole answers, which their own decoders read."""
    for target in SERVERS:
        batches = [list(reading.batches)]
        if target == dialect:
            batches.append(without_sources(reading.batches))
        for given in batches:
            read_stream(target, [stream_to(target, given)])
    try:
        answer = reading.answer
    except UpstreamFault:  # over the limits of one answer
        return
    for target in SERVERS:
        read_body(target, body_to(target, answer))


def test_broken_streams_are_read_or_fail() -> None:
    """Legal events to a terminal one, and nothing else is raised, there and further on."""
    found = streams()
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        sample = rng.choice(found)
        body = mutated(sample.body, rng)
        try:
            reading = read_stream(sample.dialect, pieces(body, rng))
            everywhere(reading, sample.dialect)
        except Exception as error:
            error.add_note(f"seed {seed}, {sample.name}")
            raise


def test_any_cut_of_a_broken_stream_gives_the_same_events() -> None:
    """Where the network cuts says nothing."""
    found = streams()
    for seed in range(ROUNDS // 2):
        rng = random.Random(-1 - seed)
        sample = rng.choice(found)
        body = mutated(sample.body, rng)
        cut = read_stream(sample.dialect, pieces(body, rng))
        whole = read_stream(sample.dialect, [body])
        assert plain(cut) == plain(whole), (seed, sample.name)
        assert cut.dropped == whole.dropped, (seed, sample.name)


def test_broken_requests_are_read_or_refused() -> None:
    """By the reader of their protocol, and by the writers of all of them."""
    found = [s for s in samples() if s.dialect in SERVERS and s.request is not None]
    found = [sample for sample in found if len(str(sample.request)) < LARGEST]
    for seed in range(ROUNDS * 4):
        rng = random.Random(seed)
        sample = rng.choice(found)
        body = json.dumps(twisted(sample.request, rng)).encode()
        try:
            call = SERVERS[sample.dialect].decode_request(body, sample.ask)
            for target in DIALECTS:
                with contextlib.suppress(BadRequest):
                    encoded(call, target)
        except ClientFault:
            continue
        except Exception as error:
            error.add_note(f"seed {seed}, {sample.name}")
            raise


def plain(reading: Reading) -> list[object]:
    """Events to compare: faults by what they say, ids that were made up not at all."""
    return [
        (event.fault.kind, str(event.fault))
        if isinstance(event, e.StreamFailed)
        else event.changed(id="")
        if isinstance(event, e.ToolCallStarted)
        else event
        for event in reading.events
    ]


@pytest.mark.parametrize("target", SERVERS)
def test_events_cut_off_anywhere_are_written(target: str) -> None:
    """An upstream may break off after any event; what was written until then is no error."""
    for seed in range(ROUNDS // 10):
        rng = random.Random(seed)
        sample = rng.choice(streams())
        events = read_stream(sample.dialect, [sample.body]).events
        start = stream_to(target, [events[: rng.randint(0, len(events))]])
        reading = read_stream(target, [start])
        assert reading.fault is not None or reading.events[-1] == e.Finished()
