"""Messages of JSON-RPC, and the steps that lead up to a prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.errors import BadRequest, FaultKind, UpstreamFault
from lipstream.protocols import acp

STEP = acp.NEW_SESSION


def reply(**fields: Any) -> bytes:
    """A response."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("written", "is_ours"),
    [
        ("9007199254740993", True),
        ('"9007199254740993"', True),
        ("9007199254740992", False),
        ("9007199254740994", False),
        ("9007199254740993.0", False),
        ('"x"', False),
        ("null", False),
        ("[9007199254740993]", False),
    ],
)
def test_ids_are_compared_to_the_last_digit(written: str, is_ours: bool) -> None:
    """Numbers beyond those of JavaScript are exact; numbers as text count as numbers."""
    message = acp.decode_message(b'{"jsonrpc":"2.0","id": %b ,"result":{}}' % written.encode())
    assert message.answers(2**53 + 1) is is_ours


@given(st.integers(0, 10**40))
def test_every_number_is_exact(number: int) -> None:
    """However large."""
    message = acp.decode_message(acp.encode_request(number, "m", {})[:-1] + b',"result":{}}')
    assert message.answers(number)
    assert not message.answers(number + 1)


@pytest.mark.parametrize(
    ("text", "is_request"),
    [
        ('{"id":1,"method":"m"}', True),
        ('{"id":"a","method":"m"}', True),
        ('{"method":"m"}', False),
        ('{"id":null,"method":"m"}', False),
        ('{"id":1,"method":"m","result":{}}', False),
        ('{"id":1,"method":"m","error":{}}', False),
        ('{"id":1}', False),
    ],
)
def test_request_has_a_method_and_an_id(text: str, is_request: bool) -> None:
    """What has a result or an error is a response, whatever else it has."""
    assert acp.decode_message(text.encode()).is_request is is_request


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"\\u0041"',
        b'{"method":1}',
        b'{"method":1,"id":"\\ud83d"}',
        b'{"result":"\\ud83d',
        b"\xff",
        b"[" * 100_000,
        b'{"params":"\\ud83d","x":' + b"[" * 100_000,
    ],
)
def test_anything_else_is_no_message(text: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(acp.NotAMessage):
        acp.decode_message(text)


def test_halves_of_characters_are_read() -> None:
    """They may be put together with the next line's; outside of texts nobody will."""
    text = b'{"id":7,"params":"\\ud83d","result":{"a":"\\ud83d\\ude00\\ud83d"},"error":["\\ude00"]}'
    message = acp.decode_message(text)
    assert message.is_mended
    assert message.answers(7)
    assert message.params == "\ud83d"
    assert message.result == {"a": "\U0001f600\ufffd"}
    assert message.error == ["\ufffd"]
    assert not acp.decode_message(b'{"params":"\\ud83d"}').is_request


def test_what_is_sent_is_compact_json_rpc() -> None:
    """A request has an id, a notification has none, a response repeats the agent's own."""
    assert acp.encode_request(3, "m", {"a": 1}) == (
        b'{"jsonrpc":"2.0","id":3,"method":"m","params":{"a":1}}'
    )
    assert acp.encode_notification("m", {}) == b'{"jsonrpc":"2.0","method":"m","params":{}}'
    assert acp.encode_response(b'"a-1"', {"result": {}}) == (
        b'{"jsonrpc":"2.0","id":"a-1","result":{}}'
    )


# ---------------------------------------------------------------- steps


def test_steps_say_the_usual_by_default() -> None:
    """As an agent expects them."""
    options = acp.SessionOptions()
    assert options.initialize == {
        "protocolVersion": 1,
        "clientCapabilities": {},
        "clientInfo": {"name": "lipstream", "version": "1"},
    }
    assert options.authenticate == {}
    assert options.new_session == {"cwd": "/", "mcpServers": ()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (acp.SessionOptions(method_id="key"), {"methodId": "key"}),
        (acp.SessionOptions(method_id="key", authenticate_params={"a": 1}), {"a": 1}),
        (acp.SessionOptions(method_id="key", authenticate_params={}), {}),
    ],
)
def test_parameters_of_authentication_go_before_its_method(
    options: acp.SessionOptions, expected: dict[str, Any]
) -> None:
    """Given as a whole they are the whole."""
    assert options.authenticate == expected


def test_reply_gives_its_result() -> None:
    """The id may come back as text."""
    assert acp.decode_reply(reply(id="5", result={"sessionId": "s"}) + b"\n", STEP, 5) == {
        "sessionId": "s"
    }
    assert acp.decode_session_id({"sessionId": " s "}) == " s "


@pytest.mark.parametrize("body", [b"", b"<html>", reply(id=6, result={}), reply(id=5, result=[])])
def test_reply_that_is_none_is_a_fault(body: bytes) -> None:
    """Of another request, without a result, or nothing at all."""
    with pytest.raises(UpstreamFault, match=STEP) as caught:
        acp.decode_reply(body, STEP, 5)
    assert caught.value.kind is FaultKind.PROTOCOL


@pytest.mark.parametrize("result", [{}, {"sessionId": " "}, {"sessionId": 7}])
def test_session_without_an_id_is_a_fault(result: dict[str, Any]) -> None:
    """Nothing could be said to it."""
    with pytest.raises(UpstreamFault, match="without an id"):
        acp.decode_session_id(result)


K = FaultKind


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"code": -32602, "message": "bad"}, K.BAD_REQUEST, "-32602"),
        ({"code": -32602, "message": "prompt is too long"}, K.CONTEXT_LENGTH, "-32602"),
        ({"code": -32000, "message": "log in"}, K.CREDENTIALS, "-32000"),
        ({"code": -32603, "message": "oops"}, K.SERVER, "-32603"),
        ({"code": -32603, "message": "rate limit exceeded"}, K.RATE_LIMIT, "-32603"),
        ({"code": -32601}, K.SERVER, "-32601"),
        ({"code": 429, "message": "later"}, K.RATE_LIMIT, "429"),
        ({"code": "rate_limit_error"}, K.RATE_LIMIT, "rate_limit_error"),
        ({"code": [1]}, K.SERVER, None),
        ("broken", K.SERVER, None),
        ({}, K.SERVER, None),
    ],
)
def test_errors_are_told_apart(error: Any, kind: FaultKind, code: str | None) -> None:
    """By code and words; the agent's own text is for the records alone."""
    with pytest.raises(UpstreamFault) as caught:
        acp.decode_reply(reply(id=5, error=error or {"message": ""}), STEP, 5)
    fault = caught.value
    assert (fault.kind, fault.code) == (kind, code)
    assert str(fault) == f"the agent refused {STEP}"
    assert fault.detail


def test_http_error_is_read_as_far_as_a_snippet() -> None:
    """What is behind 8 KiB does not count."""
    fault = acp.decode_error(503, {}, b"x" * 9000 + b"rate limit")
    assert (fault.kind, fault.status) == (FaultKind.OVERLOADED, 503)
    refused = acp.decode_error(400, {}, reply(id=1, error={"code": -32602, "message": "invalid"}))
    assert (refused.kind, refused.status) == (FaultKind.BAD_REQUEST, 400)


# ---------------------------------------------------------------- routes

EVERYTHING = acp.ROUTE_OPTIONS


def test_route_says_what_it_may() -> None:
    """Each by the name that the protocol's own clients use; the first value counts."""
    params = (
        ("acp.sessionId", "s1"),
        ("acp.sessionId", "s2"),
        ("acp.workspace", " /srv "),
        ("acp.mcpServers", '[{"name":"a"}]'),
        ("acp.messageId", "m"),
        ("acp.initialize.clientCapabilities", '{"fs":{}}'),
        ("acp.initialize.clientInfo", '{"name":"x"}'),
        ("acp.authenticate.skip", "Yes"),
        ("acp.authenticate.methodId", "key"),
        ("acp.authenticate.params", '{"b":2}'),
        ("acp.cwd", " "),
        ("temperature", "0"),
    )
    assert acp.SessionOptions().routed(params, EVERYTHING) == acp.SessionOptions(
        session_id="s1",
        cwd="/srv",
        mcp_servers=({"name": "a"},),
        message_id="m",
        client_capabilities={"fs": {}},
        client_info={"name": "x"},
        skips_authentication=True,
        method_id="key",
        authenticate_params={"b": 2},
    )


def test_route_without_options_changes_nothing() -> None:
    """What is configured counts."""
    options = acp.SessionOptions(cwd="/srv", skips_authentication=True)
    assert options.routed((("temperature", "0"),), ()) is options
    assert not options.routed((("acp.authenticate.skip", "off"),), EVERYTHING).skips_authentication


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("acp.cwd", "/etc", "route_option_not_allowed"),
        ("acp.workspace", "/etc", "route_option_not_allowed"),
        ("acp.cwdd", "/etc", "invalid_route_option"),
        ("acp.mcpServers", "{}", "invalid_route_option"),
        ("acp.mcpServers", "[1]", "invalid_route_option"),
        ("acp.initialize.clientInfo", "[]", "invalid_route_option"),
        ("acp.authenticate.params", "{", "invalid_route_option"),
        ("acp.authenticate.skip", "maybe", "invalid_route_option"),
    ],
)
def test_route_that_says_too_much_is_refused(name: str, text: str, code: str) -> None:
    """Where an agent works, and with what, is not for every client to say."""
    allowed = EVERYTHING - {"acp.cwd"}
    with pytest.raises(BadRequest, match=name) as caught:
        acp.SessionOptions().routed(((name, text),), allowed)
    assert caught.value.code == code
