"""Whatever a client sends, it is told what is wrong with it, and the server lives."""

from __future__ import annotations

import json
import os
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from lipstream.emulators.script import Script
from tests.e2e.harness import Proxy, bound, proxying
from tests.e2e.wire import CHAT, Reply, chat, encode_post

HI = [{"role": "user", "content": "Hi"}]
GOOD = Script(words=3)
# Only what is written as a selector is one, and only these backends exist.
FIXED_ROUTE = {"default_route": "a:fixed"}


def deep(depth: int) -> bytes:
    """A body that is lists in lists."""
    return b'{"model": "a:m", "messages": ' + b"[" * depth + b"]" * depth + b"}"


@attrs.frozen
class Row:
    """A request at fault.

    Attributes:
        says: Words that the message must have.
    """

    name: str
    body: Any
    says: tuple[str, ...]
    code: str
    param: str | None = None
    headers: tuple[str, ...] = ()


def message(**fields: Any) -> dict[str, Any]:
    """A request with one message."""
    return {"model": "a:m", "messages": [fields]}


def asked(**fields: Any) -> dict[str, Any]:
    """A request with a field at fault."""
    return {"model": "a:m", "messages": HI, **fields}


BAD_JSON = "invalid_json"
BAD_VALUE = "invalid_value"
BAD_HEADER = "invalid_header"
BAD_SELECTOR = "invalid_selector"
MISSING = "missing_required_parameter"

ROWS = [
    Row("empty", b"", ("empty",), BAD_JSON),
    Row("blank", b"  \r\n ", ("empty",), BAD_JSON),
    Row("no JSON", b"hello", ("not JSON", "byte 0"), BAD_JSON),
    Row("half a JSON", b'{"model": "a:m", "messages": [', ("too early",), BAD_JSON),
    Row("two values", b"{} {}", ("not JSON",), BAD_JSON),
    Row("no UTF-8", b'{"model": "\xff\xfe"}', ("UTF-8", "byte 11"), BAD_JSON),
    Row("UTF-16", '{"model": "m"}'.encode("utf-16"), ("UTF-8",), BAD_JSON),
    Row("NaN", b'{"model": "m", "temperature": NaN}', ("not JSON",), BAD_JSON),
    Row("depth 500", deep(500), ("128 levels",), BAD_JSON),
    Row("depth 200000", deep(200_000), ("128 levels",), BAD_JSON),
    Row("a list", b"[]", ("expected an object",), BAD_VALUE),
    Row("a number", b"7", ("expected an object",), BAD_VALUE),
    Row("null", b"null", ("expected an object",), MISSING),
    Row("no messages", {"model": "a:m"}, ("messages", "missing"), MISSING, "messages"),
    Row("empty messages", asked(messages=[]), ("at least one",), BAD_VALUE, "messages"),
    Row("messages as text", asked(messages="Hi"), ("a list",), BAD_VALUE, "messages"),
    Row("message as text", asked(messages=["Hi"]), ("an object",), BAD_VALUE, "messages[0]"),
    Row("no role", message(content="Hi"), ("missing",), MISSING, "messages[0].role"),
    Row("odd role", message(role="clown", content="Hi"), ("clown", "user"), BAD_VALUE,
        "messages[0].role"),
    Row("number as content", message(role="user", content=7), ("a string", "parts"), BAD_VALUE,
        "messages[0].content"),
    Row("object as content", message(role="user", content={"text": "Hi"}), ("a string",),
        BAD_VALUE, "messages[0].content"),
    Row("number as part", message(role="user", content=[7]), ("an object",), BAD_VALUE,
        "messages[0].content[0]"),
    Row("part without text", message(role="user", content=[{"type": "text"}]), ("missing",),
        MISSING, "messages[0].content[0].text"),
    Row("image without URL", message(role="user", content=[{"type": "image_url"}]), ("missing",),
        MISSING, "messages[0].content[0].image_url"),
    Row("result without id", message(role="tool", content="x"), ("missing",), MISSING,
        "messages[0].tool_call_id"),
    Row("number as model", asked(model=7), ("a string", "7"), BAD_VALUE, "model"),
    Row("text as temperature", asked(temperature="hot"), ("a number", "hot"), BAD_VALUE,
        "temperature"),
    Row("text as stream", asked(stream="yes"), ("true or false",), BAD_VALUE, "stream"),
    Row("fraction as limit", asked(max_tokens=1.5), ("integer", "1.5"), BAD_VALUE, "max_tokens"),
    Row("negative limit", asked(max_tokens=-1), ("at least 0",), BAD_VALUE, "max_tokens"),
    Row("object as tools", asked(tools={}), ("a list",), BAD_VALUE, "tools"),
    Row("tool without name", asked(tools=[{"type": "function", "function": {}}]), ("missing",),
        MISSING, "tools[0].function.name"),
    Row("odd tool choice", asked(tool_choice="maybe"), ("auto", "maybe"), BAD_VALUE,
        "tool_choice"),
    Row("text as n", asked(n="two"), ("integer",), BAD_VALUE, "n"),
    Row("bad timeout", asked(), ("x-lip-timeout", "seconds"), BAD_HEADER,
        headers=("X-LIP-Timeout: soon",)),
    Row("timeout of 0", asked(), ("x-lip-timeout",), BAD_HEADER, headers=("X-LIP-Timeout: 0",)),
    Row("endless timeout", asked(), ("x-lip-timeout",), BAD_HEADER,
        headers=("X-LIP-Timeout: inf",)),
    Row("timeout of NaN", asked(), ("x-lip-timeout",), BAD_HEADER, headers=("X-LIP-Timeout: nan",)),
    Row("unknown backend", asked(model="nobody:m"), ("nobody",), "unknown_backend", "model"),
    Row("unknown backends", asked(model="nobody:m!nil:m"), ("nobody", "nil"), "unknown_backend",
        "model"),
    Row("unknown option", asked(model="[speed=9]a:m"), ("speed", "^"), BAD_SELECTOR),
    Row("nothing to race", asked(model="a:m!"), ("missing", "^"), BAD_SELECTOR),
    Row("open bracket", asked(model="[handicap=2a:m!b:m"), ("^",), BAD_SELECTOR),
    Row("bad header", asked(), ("a:m||b:m", "^"), BAD_SELECTOR, headers=("X-LIP-Route: a:m||b:m",)),
    Row("bad parameter", asked(model="a:m?temperature=hot"), ("temperature", "hot"), BAD_SELECTOR),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
async def test_request_at_fault_is_told_what_is_wrong(row: Row) -> None:
    """A 400 in OpenAI's shape that names the place; no upstream is asked, and the next request on
    the same connection is served."""
    async with proxying({"a": GOOD}, routing=FIXED_ROUTE) as proxy, proxy.client() as client:
        await client.ask(row.body, *row.headers)
        reply = await client.reply()
        ledger = proxy.ledger()
        await client.ask(chat("a:m"))
        assert (await client.reply()).is_done
    assert (reply.status, reply.error["code"]) == (400, row.code)
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == row.param
    assert [word for word in row.says if word not in reply.error["message"]] == []
    assert ledger == []
    assert reply.seconds < bound(0.2, 3.0)


async def test_bad_selector_shows_the_place_with_a_caret() -> None:
    """The message shows what was written, and under it where the fault is."""
    async with proxying({"a": GOOD}) as proxy:
        reply = await proxy.post(chat("a:m|[handicap=soon]b:m!c:m"))
    lines = reply.error["message"].split("\n")
    place = next(line for line in lines if line.strip().startswith("^"))
    shown = lines[lines.index(place) - 1]
    assert "[handicap=soon]" in shown
    assert shown[place.index("^") :].startswith(("soon", "handicap=soon", "[handicap=soon]"))


# ---------------------------------------------------------------- too large


MIB = 2**20
LARGE = 33 * MIB


async def test_body_that_is_too_large_by_its_length_is_refused_unread() -> None:
    """The client need not send what will not be read."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {LARGE}\r\n\r\n"
    async with proxying({"a": GOOD}) as proxy:
        async with proxy.client() as client:
            await client.send(head.encode())
            reply = await client.reply()
        assert (await proxy.post(chat("a:m"))).is_done
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert str(32 * MIB) in reply.error["message"]
    assert reply.seconds < bound(0.1, 3.0)


async def test_client_that_waits_for_leave_to_send_is_told_not_to() -> None:
    """``Expect: 100-continue`` with a body that is too large gets the refusal instead."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {LARGE}\r\n"
    async with proxying({"a": GOOD}) as proxy, proxy.client() as client:
        await client.send(f"{head}Expect: 100-continue\r\n\r\n".encode())
        reply = await client.reply()
    assert reply.status == 413


async def send_until_refused(proxy: Proxy, head: str, piece: bytes, times: int) -> Reply:
    """Sends a body in pieces, reading at the same time."""
    async with proxy.client() as client, trio.open_nursery() as nursery:
        await client.send(head.encode())

        async def upload() -> None:
            try:
                for _ in range(times):
                    await client.stream.send_all(piece)
            except trio.BrokenResourceError:
                return

        nursery.start_soon(upload)
        reply = await client.reply()
        nursery.cancel_scope.cancel()
    return reply


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_body_that_is_too_large_is_refused_while_it_comes(is_chunked: bool) -> None:
    """A client that sends all the same gets its answer, and costs the server nothing."""
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {LARGE}"
    head = f"POST {CHAT} HTTP/1.1\r\nHost: proxy\r\n{framing}\r\n\r\n"
    part = b"x" * MIB
    piece = b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part
    async with proxying({"a": GOOD}) as proxy:
        reply = await send_until_refused(proxy, head, piece, 33)
        assert (await proxy.post(chat("a:m"))).is_done
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


async def test_limit_of_the_body_is_configurable() -> None:
    """An operator may want a smaller one."""
    async with proxying({"a": GOOD}, server={"body_limit": 1000}) as proxy:
        small = await proxy.post(chat("a:m", "x" * 500))
        large = await proxy.post(chat("a:m", "x" * 1500))
    assert small.status == 200
    assert (large.status, large.error["code"]) == (413, "request_too_large")


async def test_body_of_31_mb_is_an_ordinary_one() -> None:
    """The limit is there for memory's sake; up to it everything works."""
    text = "x" * (31 * MIB)
    async with proxying({"a": GOOD}) as proxy:
        reply = await proxy.post(chat("a:m", text))
        sent = proxy.ledger()[0].body["messages"][0]["content"]
    assert reply.is_done
    assert len(sent) == len(text)


# ---------------------------------------------------------------- not this API


async def test_unknown_path_and_method_say_where_to_go() -> None:
    """Also what is no chat request at all gets an error in the same shape."""
    async with proxying({"a": GOOD}) as proxy:
        lost = await proxy.get("/v1/chat/completion")
        wrong = await proxy.get(CHAT)
        doubled = await proxy.post(chat("a:m"), path="/v1/v1/chat/completions/")
    assert (lost.status, lost.error["code"]) == (404, "unknown_url")
    assert "/v1/chat/completions" in lost.error["message"]
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert doubled.is_done


async def test_wrong_content_type_is_read_all_the_same() -> None:
    """Clients forget it; the body says what it is."""
    body = json.dumps(chat("a:m")).encode()
    async with proxying({"a": GOOD}) as proxy, proxy.client() as client:
        await client.send(encode_post(body, "Content-Type: text/plain"))
        assert (await client.reply()).is_done


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\nHost: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
    ids=["cut", "tls", "smuggling", "negative", "huge-head", "bad-chunk"],
)
async def test_what_is_not_http_ends_its_own_connection_only(request_bytes: bytes) -> None:
    """It is answered with a 400 or so where that is possible, and closed."""
    async with proxying({"a": GOOD}) as proxy:
        async with proxy.client() as client:
            await client.send(request_bytes)
            with trio.fail_after(5):
                status = await client.head()
                while await client.read():
                    pass
        assert (await proxy.post(chat("a:m"))).is_done
    assert status == 0 or 400 <= status < 500
    assert proxy.records.exchanges[0].ending.reason == "complete"


# ---------------------------------------------------------------- anything at all


EXAMPLES = {"dev": 15, "nightly": 2000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 40)
TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("model", "messages", "stream", "tools", "tool_choice", "n", "stop", "response_format")
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system"]) | VALUES},
        optional={"content": VALUES, "tool_calls": VALUES, "name": VALUES},
    ),
    max_size=3,
)
REQUESTS = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=4) | st.builds(
    lambda fields, messages: {"model": "a:m", **fields, "messages": messages},
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2),
    MESSAGES,
)
BODIES = st.binary(max_size=60) | REQUESTS.map(lambda value: json.dumps(value).encode())


@given(bodies=st.lists(BODIES, min_size=1, max_size=8), cut=st.integers(0, 40))
@settings(max_examples=EXAMPLES)
def test_any_body_gets_an_answer(bodies: list[bytes], cut: int) -> None:
    """Neither a crash nor a hang, and never a 5xx for what the client wrote."""

    async def send_all() -> list[Reply]:
        async with proxying({"a": GOOD}) as proxy, proxy.client() as client:
            replies = []
            for body in [*bodies, bodies[0][:cut], json.dumps(chat("a:m")).encode()]:
                await client.ask(body)
                replies.append(await client.reply())
        return replies

    *replies, last = trio.run(send_all)
    assert last.is_done
    for reply in replies:
        assert reply.status == 200 or (400 <= reply.status < 500 and reply.error["message"])
