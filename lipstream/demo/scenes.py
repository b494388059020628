"""What is played, and what is claimed about it. Times are in seconds, at a scale of 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from lipstream.demo.stage import Outcome
from lipstream.emulators.script import Script
from lipstream.lifecycle.attempt import AttemptState

LONG = 40  # words
PROMPT_CLOSE = 1.0  # seconds: generous, for slow machines; what was measured is printed

Claim = tuple[str, bool]


@attrs.frozen
class Scene:
    """One request and what its backends do with it.

    Attributes:
        watch: One sentence on what to see.
        route: The selector that is sent as the request's model.
        scripts: By backend, at a scale of 1.
        words_heard: After so many words the client hangs up; None to hear it out.
        claims: What must be true of the outcome, in words, and whether it is.
    """

    title: str
    watch: str
    route: str
    scripts: Mapping[str, Script]
    claims: Callable[[Outcome], Sequence[Claim]]
    words_heard: int | None = None


def _says(number: int, name: str) -> str:
    return " ".join(f"{name}-{n}" for n in range(1, number + 1))


# ---------------------------------------------------------------- the race


def _race_claims(outcome: Outcome) -> list[Claim]:
    early, quick = outcome.attempts["east"], outcome.attempts["west"]
    is_first_head = (early.headers_at or 0) < (quick.headers_at or 0)
    won_at = quick.committed_at or 0.0
    closed_at = outcome.closed_at("east")
    after = f"{(closed_at - won_at) * 1000:.0f} ms after it" if closed_at else "never"
    is_prompt = closed_at is not None and closed_at - won_at < PROMPT_CLOSE
    return [
        ("east's head came first, west had the first word and won", is_first_head and won_at > 0),
        ("the client has west's answer, whole, and nothing of east's", outcome.is_whole("west")),
        (f"east lost; it saw its socket closed {after}", early.reason == "lost_race" and is_prompt),
        ("east had not said a word by then", outcome.entries["east"].chunks_sent == 0),
    ]


RACE = Scene(
    title="A race is won by the first word, not by the first header",
    watch="East answers at once, with headers and an empty first chunk, and then thinks for 3 s. "
    "West takes its time to answer, speaks after 0.6 s, and that is what counts.",
    route="east:early!west:quick",
    scripts={
        "east": Script(text=_says(12, "east"), role_chunk=True, content_after=3.0, pace=0.04),
        "west": Script(
            text=_says(12, "west"), headers_after=0.3, content_after=0.6, pace=0.04, role_chunk=True
        ),
    },
    claims=_race_claims,
)


# ---------------------------------------------------------------- the failover


def _failover_claims(outcome: Outcome) -> list[Claim]:
    states = [outcome.attempts[name].state for name in ("east", "west", "north")]
    failed, complete = AttemptState.FAILED, AttemptState.COMPLETE
    outcomes = [outcome.entries[name].outcome for name in ("east", "west", "north")]
    return [
        (
            "east answered 500, west 200 with an error in its stream",
            outcomes[:2] == ["status", "error"],
        ),
        ("both failed before a word, so north was asked", states == [failed, failed, complete]),
        ("the client saw one answer, north's, whole", outcome.is_whole("north")),
        ("its status was 200, as if nothing had been", outcome.heard.status == 200),
    ]


FAILOVER = Scene(
    title="A failover is not seen by the client",
    watch="East fails with a 500. West begins a good 200 and fails inside of it. As no word had "
    "come, neither is passed on, and north is asked.",
    route="east:broken|west:half|north:good",
    scripts={
        "east": Script(status=500, headers_after=0.2),
        "west": Script(
            text=_says(12, "west"),
            role_chunk=True,
            headers_after=0.1,
            content_after=0.4,
            error_after=0,
        ),
        "north": Script(text=_says(12, "north"), headers_after=0.1, content_after=0.3, pace=0.04),
    },
    claims=_failover_claims,
)


# ---------------------------------------------------------------- the hang-up


def _hang_up_claims(outcome: Outcome) -> list[Claim]:
    left_at, closed_at = outcome.heard.ended_at, outcome.closed_at("east")
    after = f"{(closed_at - left_at) * 1000:.0f} ms later" if closed_at else "never"
    is_prompt = closed_at is not None and closed_at - left_at < PROMPT_CLOSE
    sent = outcome.entries["east"].chunks_sent
    lost = outcome.attempts["west"]
    return [
        ("west lost the race and was closed long before", lost.reason == "lost_race"),
        (f"the client hung up; east saw its socket closed {after}", is_prompt),
        (f"east had said {sent} of {LONG} words and wrote no more", sent < LONG),
        ("the record says why", outcome.record.ending.reason == "client_gone"),
    ]


HANG_UP = Scene(
    title="A client that hangs up leaves nothing running",
    watch="East and west race, east wins and streams. In the middle of its answer the client "
    "closes the connection; no provider goes on writing for nobody.",
    route="east:talker!west:late",
    scripts={
        "east": Script(text=_says(LONG, "east"), headers_after=0.1, content_after=0.3, pace=0.1),
        "west": Script(text=_says(LONG, "west"), headers_after=0.2, content_after=2.0, pace=0.1),
    },
    claims=_hang_up_claims,
    words_heard=6,
)

SCENES = (RACE, FAILOVER, HANG_UP)
