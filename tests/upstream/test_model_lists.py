"""Lists of models: their shapes, their pages, and what is left of them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.secret import Secret
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.interfaces import ClientDialect
from lipstream.protocols import anthropic_messages, gemini, openai_chat, openai_responses
from lipstream.upstream.credentials import Credential, CredentialPool
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.model_lists import (
    MAX_MODELS,
    MAX_PAGES,
    SHAPES,
    Place,
    list_models,
)
from lipstream.upstream.transport import Transport

LONG = "m" * 201


@attrs.define
class FakePlace:
    """Gives one body after the other, the last one for ever."""

    speaks: str
    bodies: list[bytes]
    paths: list[str] = attrs.field(factory=list)

    async def look(self, path: str) -> bytes:
        """The next body."""
        self.paths.append(path)
        return self.bodies[min(len(self.paths), len(self.bodies)) - 1]


def place(speaks: str, *bodies: Any) -> FakePlace:
    """A place whose bodies are JSON."""
    return FakePlace(speaks, [json.dumps(body).encode() for body in bodies])


@pytest.mark.parametrize(
    ("speaks", "body"),
    [
        ("openai_chat", {"object": "list", "data": [{"id": "a", "created": 1}, {"id": "b"}]}),
        ("openai_responses", [{"id": "a", "pricing": {}}, {"id": "b"}, {"id": "a"}, {}]),
        ("anthropic_messages", {"data": [{"id": "a"}, {"id": "b"}], "has_more": False}),
        ("gemini", {"models": [{"name": "models/a"}, {"name": "b", "version": "1"}]}),
    ],
)
async def test_names_are_read_in_every_shape(speaks: str, body: Any) -> None:
    """Each once, in the order of the provider; unknown fields are nobody's concern."""
    where: Place = place(speaks, body)
    assert await list_models(where) == ("a", "b")


async def test_list_of_nothing_is_a_list() -> None:
    """Servers without a model say null, or leave the field out."""
    assert await list_models(place("openai_chat", {"data": None})) == ()
    assert await list_models(place("gemini", {})) == ()


async def test_pages_of_anthropic_are_followed_to_the_last() -> None:
    """The last id of a page asks for the next."""
    first = {"data": [{"id": "a"}], "has_more": True, "last_id": "a/1"}
    where = place("anthropic_messages", first, {"data": [{"id": "b"}], "last_id": "b"})
    assert await list_models(where) == ("a", "b")
    assert where.paths == ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a%2F1"]


async def test_pages_of_gemini_are_followed_to_the_last() -> None:
    """By the token that comes with each."""
    first = {"models": [{"name": "models/a"}], "nextPageToken": "t="}
    where = place("gemini", first, {"models": [{"name": "models/b"}]})
    assert await list_models(where) == ("a", "b")
    assert where.paths == ["/models?pageSize=1000", "/models?pageSize=1000&pageToken=t%3D"]


async def test_pages_that_lead_back_or_never_end_are_left() -> None:
    """A provider's mistake costs a bounded number of requests."""
    circle = place("gemini", {"models": [{"name": "a"}], "nextPageToken": "same"})
    assert await list_models(circle) == ("a",)
    assert len(circle.paths) == 2
    pages = [{"models": [], "nextPageToken": str(number)} for number in range(100)]
    endless = place("gemini", *pages)
    assert await list_models(endless) == ()
    assert len(endless.paths) == MAX_PAGES


async def test_names_nobody_could_ask_for_are_left_out() -> None:
    """Those with an operator of selectors, blanks or control characters, and endless ones."""
    odd = ["a|b", "a!b", "a?b", "*", "{x}", "a b", "a\x1b[0m", "é", LONG, "", "llama3:8b-q4_0"]
    where = place("openai_chat", {"data": [{"id": name} for name in odd]})
    assert await list_models(where) == ("llama3:8b-q4_0",)


async def test_as_many_names_are_kept_as_are_bounded() -> None:
    """The rest is left out."""
    many = [{"id": str(number)} for number in range(MAX_MODELS + 5)]
    assert len(await list_models(place("openai_chat", many))) == MAX_MODELS


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[1]", b"null", b"[" * 100_000])
@pytest.mark.parametrize("speaks", SHAPES)
async def test_anything_else_is_a_fault(speaks: str, body: bytes) -> None:
    """Of the protocol, whatever a server says."""
    with pytest.raises(UpstreamFault) as caught:
        await list_models(FakePlace(speaks, [body]))
    assert caught.value.kind is FaultKind.PROTOCOL


@given(st.sampled_from(sorted(SHAPES)), st.binary(max_size=200))
def test_bytes_are_a_list_or_a_fault(speaks: str, body: bytes) -> None:
    """Nothing else comes out of them."""
    with contextlib.suppress(UpstreamFault):
        assert isinstance(trio.run(list_models, FakePlace(speaks, [body])), tuple)


# ---------------------------------------------------------------- over the network


def backend(emulator: Emulator, dialect: ClientDialect, **options: Any) -> HttpBackend:
    """A backend whose place is an emulator's."""
    path = {"anthropic_messages": "", "gemini": "/v1beta"}.get(dialect.name, "/v1")
    url = emulator.origin + path
    return HttpBackend(id="b", base_url=url, dialect=dialect, client=Transport(), **options)


@pytest.mark.parametrize(
    "dialect",
    [openai_chat.CLIENT, openai_responses.CLIENT, anthropic_messages.CLIENT, gemini.CLIENT],
    ids=lambda dialect: dialect.name,
)
async def test_backends_list_what_their_provider_has(dialect: ClientDialect) -> None:
    """With their key, in their protocol."""
    async with Emulator({"m1": Script(), "m2": Script()}, expect_key="k") as emulator:
        place = backend(emulator, dialect, api_key=Secret("k"))
        assert await list_models(place) == ("m1", "m2")
        await place.client.aclose()
        (entry,) = emulator.ledger
    assert (entry.method, entry.path.endswith("/models")) == ("GET", True)


async def test_refused_list_does_not_hold_the_key_for_dead() -> None:
    """A key may be good for answers and not for lists; and no key is lent for a look."""
    pool = CredentialPool([Credential(id="a", secret=Secret("x"))])
    async with Emulator(expect_key="k") as emulator:
        place = backend(emulator, openai_chat.CLIENT, pool=pool, key_header="x-api-key")
        with pytest.raises(UpstreamFault) as caught:
            await list_models(place)
        await place.client.aclose()
    assert caught.value.kind is FaultKind.CREDENTIALS
    (report,) = pool.reports()
    assert (report.state.value, report.running) == ("unproven", 0)


async def test_dead_key_is_not_looked_around_with() -> None:
    """As long as there is another."""
    keys = [Credential(id=name, secret=Secret(name)) for name in ("a", "b")]
    pool = CredentialPool(keys)
    assert pool.peek() == Secret("a")
    (await pool.lease()).end(UpstreamFault(FaultKind.CREDENTIALS, "no"))
    assert pool.peek() == Secret("b")
    (await pool.lease()).end(UpstreamFault(FaultKind.CREDENTIALS, "no"))
    assert pool.peek() == Secret("a")
