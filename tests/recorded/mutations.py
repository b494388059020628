"""Streams broken at random: bytes flipped, cut out, said twice, and whole frames exchanged.

And requests in which values are of another type, or gone. Everything is drawn from one generator,
so that a seed is all that a failure needs to be seen again.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Rng = random.Random

_TOKENS = (
    b"\n",
    b"\n\n",
    b"\r",
    b"data: ",
    b"event: error\n",
    b"null",
    b"{",
    b"}",
    b"]",
    b'"',
    b"-1",
    b"1e999",
    b'\\ud83d"',
    b"\xff",
    b"[DONE]",
    b'"error":{},',
)
_LONGEST = 40
_MOST = 5


def mutated(body: bytes, rng: Rng) -> bytes:
    """The body with one to five things done to it."""
    for _ in range(rng.randint(1, _MOST)):
        body = rng.choice(_MUTATIONS)(body, rng)
    return body


def pieces(body: bytes, rng: Rng) -> list[bytes]:
    """The body in pieces of any size, empty ones too."""
    cuts = sorted(rng.randint(0, len(body)) for _ in range(rng.randint(0, 12)))
    return [body[i:j] for i, j in itertools.pairwise([0, *cuts, len(body)])]


def _place(body: bytes, rng: Rng) -> tuple[int, int]:
    start = rng.randint(0, len(body))
    return start, min(len(body), start + rng.randint(0, _LONGEST))


def _flip(body: bytes, rng: Rng) -> bytes:
    if not body:
        return body
    place = rng.randrange(len(body))
    flipped = body[place] ^ (1 << rng.randrange(8))
    return body[:place] + bytes([flipped]) + body[place + 1 :]


def _delete(body: bytes, rng: Rng) -> bytes:
    start, stop = _place(body, rng)
    return body[:start] + body[stop:]


def _repeat(body: bytes, rng: Rng) -> bytes:
    start, stop = _place(body, rng)
    return body[:stop] + body[start:]


def _insert(body: bytes, rng: Rng) -> bytes:
    place = rng.randint(0, len(body))
    return body[:place] + rng.choice(_TOKENS) + body[place:]


def _cut_off(body: bytes, rng: Rng) -> bytes:
    return body[: rng.randint(0, len(body))]


def _swap_frames(body: bytes, rng: Rng) -> bytes:
    frames = body.split(b"\n\n")
    i, j = rng.randrange(len(frames)), rng.randrange(len(frames))
    frames[i], frames[j] = frames[j], frames[i]
    return b"\n\n".join(frames)


def _drop_frame(body: bytes, rng: Rng) -> bytes:
    frames = body.split(b"\n\n")
    del frames[rng.randrange(len(frames))]
    return b"\n\n".join(frames)


def _repeat_frame(body: bytes, rng: Rng) -> bytes:
    frames = body.split(b"\n\n")
    frames.insert(rng.randint(0, len(frames)), rng.choice(frames))
    return b"\n\n".join(frames)


def _exchange_values(body: bytes, rng: Rng) -> bytes:
    """One member's value in the place of another's, so that the types do not fit."""
    places = [i for i in range(len(body)) if body.startswith(b'":', i)]
    if not places:
        return body
    i, j = rng.choice(places) + 2, rng.choice(places) + 2
    end = min((k for k in (body.find(b",", j), body.find(b"}", j)) if k > 0), default=j)
    stop = min((k for k in (body.find(b",", i), body.find(b"}", i)) if k > 0), default=i)
    return body[:i] + body[j:end] + body[stop:]


_MUTATIONS: Sequence[Callable[[bytes, Rng], bytes]] = (
    _flip,
    _delete,
    _repeat,
    _insert,
    _cut_off,
    _swap_frames,
    _swap_frames,
    _drop_frame,
    _repeat_frame,
    _exchange_values,
    _exchange_values,
)


# ---------------------------------------------------------------- values

_VALUES: Sequence[Any] = (
    None,
    True,
    -1,
    1e300,
    10**20,
    "",
    "\ud83d",
    "x" * 200,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"type": "text"},
    {"type": []},
    {"": ""},
)


def twisted(value: Any, rng: Rng) -> Any:
    """A copy of a JSON value in which one to five members are something else, or gone."""
    root = [copy.deepcopy(value)]
    for _ in range(rng.randint(1, _MOST)):
        container, key = rng.choice(list(_places(root)))
        if isinstance(container, dict) and rng.random() < 0.3:
            del container[key]
        elif rng.random() < 0.3:
            container[key] = copy.deepcopy(rng.choice(list(_inner(root))))
        else:
            container[key] = copy.deepcopy(rng.choice(_VALUES))
    return root[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _inner(value: Any) -> Iterator[Any]:
    return (container[key] for container, key in _places(value))
