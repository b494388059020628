"""How long things take: a fixed number of seconds, or a distribution that each request draws from.

The distributions are tagged structs so that a script read from JSON can name them:
``{"type": "lognormal", "median": 0.4, "sigma": 0.5}``.
"""

from __future__ import annotations

import math
import random

import attrs
import msgspec


class Constant(msgspec.Struct, frozen=True, tag="constant", forbid_unknown_fields=True):
    """Always the same.

    Attributes:
        value: Seconds.
    """

    value: float

    def draw(self, rng: random.Random) -> float:
        """The value; nothing is drawn from ``rng``."""
        return self.value


class Lognormal(msgspec.Struct, frozen=True, tag="lognormal", forbid_unknown_fields=True):
    """The usual shape of a provider's latency: a body around the median and a long tail.

    Attributes:
        median: Seconds.
        sigma: Standard deviation of the logarithm: 0.5 puts p99 at 3.2 times the median, 1 at ten.
    """

    median: float
    sigma: float

    def draw(self, rng: random.Random) -> float:
        """One sample in seconds."""
        return rng.lognormvariate(math.log(self.median), self.sigma)


class Bimodal(msgspec.Struct, frozen=True, tag="bimodal", forbid_unknown_fields=True):
    """Mostly fast, now and then slow: a cold start, a retry inside the provider.

    Attributes:
        fast: Seconds, for most.
        slow: Seconds, for the rest.
        share: Share of the slow ones, 0 to 1.
    """

    fast: float
    slow: float
    share: float

    def draw(self, rng: random.Random) -> float:
        """Either of the two, in seconds."""
        return self.slow if rng.random() < self.share else self.fast


Distribution = Constant | Lognormal | Bimodal
Duration = float | Constant | Lognormal | Bimodal


def draw(duration: Duration, rng: random.Random) -> float:
    """``duration`` in seconds, never negative, sampled where it is a distribution."""
    seconds = duration if isinstance(duration, int | float) else duration.draw(rng)
    return max(0.0, float(seconds))


@attrs.frozen
class Times:
    """When one answer's parts are due, drawn once per request.

    Attributes:
        head: Seconds from the request to the response head.
        content: Seconds from the request to the first content.
        pace: Seconds from one content event to the next.
    """

    head: float
    content: float
    pace: float

    def due(self, index: int) -> float:
        """Seconds from the request to the content event with this index, counted from 0."""
        return max(self.head, self.content) + index * self.pace
