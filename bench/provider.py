"""Backends whose latency is drawn for each request, and the same whoever asks.

`race` compares policies. A request is known by its number, and what a backend does with it depends
on that number alone, so that every policy meets the same luck: differences between them are theirs.
It also makes known how fast the best of all proxies could have been.

The head and the role come at once and the first content when it is drawn: a race that were decided
by anything but content would go to whoever is not the fastest.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence

import trio

from lipstream.emulators.dialect import Ask
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.emulators.timing import Bimodal, Constant, Distribution, Lognormal

BACKENDS = ("a", "b", "c")

# Seconds to the first content. All backends have the same distribution, so what racing gains comes
# from the spread alone. The limits in selectors are whole seconds; these are made for one of 1 s.
DISTRIBUTIONS: Mapping[str, Distribution] = {
    "constant": Constant(0.4),
    "lognormal": Lognormal(median=0.4, sigma=0.7),
    "bimodal": Bimodal(fast=0.4, slow=4.0, share=0.05),
}

WORDS = 8
PACE = 0.01
COMMAND = (sys.executable, "-c", "from bench.provider import main; main()")


def model_of(distribution: str, backend: str) -> str:
    """The model that a backend is asked for."""
    return f"{distribution}-{backend}"


def name_of(policy: str, number: int) -> str:
    """What the client says in its request."""
    return f"{policy} {number}"


def latency(seed: int, model: str, number: int) -> float:
    """Seconds to the first content of one request."""
    distribution = DISTRIBUTIONS[model.partition("-")[0]]
    return max(0.0, distribution.draw(random.Random(f"{seed} {model} {number}")))


def script_for(seed: int) -> Callable[[Ask], Script | None]:
    """Answers any request of the race; to others the emulator's default."""

    def choose(ask: Ask) -> Script | None:
        name = str(ask.body["messages"][-1]["content"])
        _, _, number = name.rpartition(" ")
        if not number.isdecimal():
            return None
        after = latency(seed, ask.model, int(number))
        return Script(words=WORDS, pace=PACE, role_chunk=True, content_after=after)

    return choose


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until standard input ends or SIGTERM comes; the only argument is the seed."""
    (seed,) = sys.argv[1:] if arguments is None else arguments
    trio.run(_serve, Emulator(choose=script_for(int(seed))))


async def _serve(emulator: Emulator) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(emulator.serve)
        print(json.dumps({"port": emulator.port}), flush=True)
        await trio.to_thread.run_sync(os.read, sys.stdin.fileno(), 1, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()
