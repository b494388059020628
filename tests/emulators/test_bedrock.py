"""The emulator of Bedrock: what it says is what AWS's own client reads, what it refuses is refused
by the service."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]

from lipstream.emulators.aws_signature import ACCESS_KEY, SECRET_KEY, fault_of, signature_of
from lipstream.emulators.bedrock_request import see_converse
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.http import Request
from lipstream.emulators.proofs import is_genuine, prove
from lipstream.emulators.reading import Refused
from lipstream.emulators.script import Script, ToolCall
from lipstream.emulators.seen import SeenCall, SeenMedia, SeenReasoning, SeenResult, SeenText
from tests.emulators.raw_client import Raw, exchange, request
from tests.protocols.bedrock_converse.service_model import complaints, events_in
from tests.recordings import exchanges

MODEL = "us.anthropic.claude-sonnet-4-5-v1:0"
QUESTION: Any = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
BEARER = "authorization: Bearer k"


async def asked(
    script: Script, body: Any = QUESTION, *, stream: bool = True, key: str = BEARER, **more: Any
) -> Raw:
    """What one emulator with this script answers."""
    action = "converse-stream" if stream else "converse"
    path = f"/model/{MODEL.replace(':', '%3A')}/{action}"
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with Emulator(default=script, **more) as emulator:
        headers = ("connection: close", *([key] if key else []))
        raw = await exchange(emulator.port, request(data, path=path, headers=headers))
        assert emulator.failures == []
        return raw


async def told(script: Script, body: Any = QUESTION) -> list[tuple[str, Any]]:
    """The events of a stream, as AWS's own client reads them."""
    return events_in(b"".join((await asked(script, body)).chunks))


# ---------------------------------------------------------------- answers


async def test_stream_has_the_events_of_the_service() -> None:
    """In its order: reasoning, encrypted reasoning, text, an image, calls."""
    script = Script(
        reasoning="Let me think",
        redacted=1,
        text="I look",
        image="data:image/png;base64,QUJD",
        tool_calls=(ToolCall("f", '{"city": "Rome"}', "t1"), ToolCall("g")),
        input_tokens=30,
        cache_read_tokens=10,
        cache_write_tokens=5,
        output_tokens=7,
    )
    events = await told(script)
    names = [name for name, _ in events]
    assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
    deltas = [event["delta"] for name, event in events if name == "contentBlockDelta"]
    texts = [delta["text"] for delta in deltas if "text" in delta]
    assert texts == ["I", " look"]
    thoughts = [delta["reasoningContent"] for delta in deltas if "reasoningContent" in delta]
    assert "".join(piece.get("text", "") for piece in thoughts) == "Let me think"
    (signature,) = [piece["signature"] for piece in thoughts if "signature" in piece]
    assert is_genuine(signature, MODEL, "Let me think")
    starts = [event["start"] for name, event in events if name == "contentBlockStart"]
    assert starts[0] == {"image": {"format": "png"}}
    assert starts[1] == {"toolUse": {"toolUseId": "t1", "name": "f"}}
    inputs = [delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta]
    assert "".join(inputs) == '{"city": "Rome"}{}'
    assert events[-2][1]["stopReason"] == "tool_use"
    usage = events[-1][1]["usage"]
    assert usage["inputTokens"] == 15
    assert (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]) == (10, 5)
    assert (usage["outputTokens"], usage["totalTokens"]) == (7, 37)


async def test_whole_answer_has_the_same_blocks() -> None:
    """In the service's other shape."""
    script = Script(reasoning="Hm", text="hi", tool_calls=(ToolCall("f", "[1]"),))
    answer = (await asked(script, stream=False)).json
    content = answer["output"]["message"]["content"]
    assert [next(iter(block)) for block in content] == ["reasoningContent", "text", "toolUse"]
    assert content[2]["toolUse"]["input"] == {}
    assert (answer["stopReason"], "usage" in answer) == ("tool_use", True)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script(), "end_turn"),
        (Script(finish_reason="length"), "max_tokens"),
        (Script(finish_reason="content_filter"), "content_filtered"),
        (Script(finish_reason="malformed_tool_use"), "malformed_tool_use"),
        (Script(stop_sequence="END"), "stop_sequence"),
        (Script(refusal="I must not."), "guardrail_intervened"),
        (Script(block_reason="x"), "guardrail_intervened"),
        (Script(no_finish_reason=True), None),
    ],
)
async def test_reason_is_in_the_services_words(script: Script, expected: str | None) -> None:
    """A refusal is text that a guardrail put there."""
    events = await told(script)
    assert events[-2][1].get("stopReason") == expected
    texts = [event["delta"]["text"] for name, event in events if name == "contentBlockDelta"]
    assert "".join(texts).startswith(script.refusal or "")


async def test_counts_may_be_missing_and_so_may_the_end() -> None:
    """By script."""
    assert "usage" not in (await told(Script(usage=False)))[-1][1]
    assert (await told(Script(no_done=True)))[-1][0] == "contentBlockStop"


async def test_models_are_listed() -> None:
    """In the words of the service's other host."""
    async with Emulator({"a": Script(), "b": Script()}) as emulator:
        ask = request(method="GET", path="/foundation-models")
        rows = (await exchange(emulator.port, ask)).json["modelSummaries"]
    assert [row["modelId"] for row in rows] == ["a", "b"]


# ---------------------------------------------------------------- faults


async def test_error_in_a_stream_is_an_exception() -> None:
    """After so many words."""
    raw = await asked(Script(words=5, error_after=2))
    body = b"".join(raw.chunks)
    assert b"serviceUnavailableException" in body
    assert body.count(b"contentBlockDelta") == 2
    raw = await asked(Script(words=5, error_after=2, error_code="ModelStreamErrorException"))
    assert b"modelStreamErrorException" in b"".join(raw.chunks)
    raw = await asked(Script(words=5, error_after=2), stream=False)
    assert raw.json == {"message": "Bedrock is unable to process your request."}


@pytest.mark.parametrize(
    ("script", "status", "name", "words"),
    [
        (Script(status=400), 400, "ValidationException", "malformed"),
        (Script(status=418), 418, "ValidationException", "malformed"),
        (Script(status=429), 429, "ThrottlingException", "Too many requests"),
        (Script(status=502), 502, "InternalServerException", "unexpected"),
        (Script(status=400, error_code="model_not_found"), 400, "ValidationException", "model id"),
        (Script(status=400, error_message="mine"), 400, "ValidationException", "mine"),
        (Script(status=400, error_code=404), 400, "ResourceNotFoundException", "resolve"),
    ],
)
async def test_errors_have_a_name_and_words(
    script: Script, status: int, name: str, words: str
) -> None:
    """The name is in a header."""
    raw = await asked(script)
    assert raw.status == status
    assert raw.headers["x-amzn-errortype"].startswith(f"{name}:http")
    assert words in raw.json["message"]
    assert raw.headers["x-amzn-requestid"]


async def test_own_error_body_goes_first() -> None:
    """As in every dialect."""
    assert (await asked(Script(status=500, error_body=b"x"))).body == b"x"


async def test_switches_for_text_leave_the_frames_whole() -> None:
    """No line ends, comments or byte order mark in binary; unreadable events are whole frames."""
    text = Script(text="a\r\nb\nc", crlf=True, comments=True, bom=True)
    texts = [event["delta"]["text"] for name, event in await told(text) if "delta" in event]
    assert "".join(texts) == "a\r\nb\nc"
    raw = await asked(Script(words=2, garbage="event"))
    assert b"".join(raw.chunks).count(b'{"contentBlo') > 1


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("key", "name"),
    [("", "MissingAuthenticationTokenException"), (BEARER, "UnrecognizedClientException")],
)
async def test_unknown_key_is_denied(key: str, name: str) -> None:
    """403, in other words where there is none."""
    raw = await asked(Script(), key=key, expect_key="other")
    assert raw.status == 403
    assert raw.headers["x-amzn-errortype"].startswith(name)


def signed(secret: str = SECRET_KEY, key: str = ACCESS_KEY, url: str = "/model/a%3Ab/c") -> Request:
    """A request as AWS's own client signs it."""
    made = AWSRequest("POST", f"https://h:9{url}", headers={"x-a": " b  c "}, data=b"{}")
    SigV4Auth(ReadOnlyCredentials(key, secret, "tok"), "bedrock", "us-east-1").add_auth(made)
    path, _, query = url.partition("?")
    headers = {name.lower(): value for name, value in made.headers.items()} | {"host": "h:9"}
    return Request("POST", path, query, headers, b"{}", "1.1", True, 0.0)


@pytest.mark.parametrize("url", ["/model/a%3Ab/c", "/x?b=2&a=%20y&a=", "/%C3%A9~"])
def test_signature_of_the_known_account_is_checked(url: str) -> None:
    """Path, query, headers, body and the secret."""
    good = signed(url=url)
    assert fault_of(good, "bedrock") is None
    found = signature_of(good)
    assert found is not None
    assert found.key_id == ACCESS_KEY
    for bad in (
        signed("wrong", url=url),
        copy_of(good, path="/other"),
        copy_of(good, body=b"[]"),
        copy_of(good, headers={**good.headers, "x-a": "d"}),
    ):
        assert "does not match" in str(fault_of(bad, "bedrock"))


def copy_of(given: Request, **changes: Any) -> Request:
    """The same request but for something."""
    return attrs.evolve(given, **changes)


def test_signature_of_other_accounts_is_looked_at() -> None:
    """Its form, its scope, its time and what it covers."""
    good = signed(key="OTHER", secret="unknown")
    assert fault_of(good, "bedrock") is None
    assert "scoped" in str(fault_of(good, "s3"))
    authorization = good.headers["authorization"]
    old = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y%m%dT%H%M%SZ")
    for headers, why in (
        ({"authorization": "AWS4-HMAC-SHA256 x"}, "requires"),
        ({"x-amz-date": "tomorrow"}, "expired"),
        ({"x-amz-date": good.headers["x-amz-date"][:8] + "T"}, "expired"),
        ({"authorization": authorization.replace("host;", "")}, "SignedHeader"),
    ):
        changed = copy_of(good, headers={**good.headers, **headers})
        assert why in str(fault_of(changed, "bedrock"))
    stale = authorization.replace(good.headers["x-amz-date"][:8], old[:8])
    changed = copy_of(good, headers={**good.headers, "x-amz-date": old, "authorization": stale})
    assert "expired" in str(fault_of(changed, "bedrock"))


async def test_badly_signed_request_is_refused() -> None:
    """Before anything else."""
    raw = await asked(Script(), b"not JSON", key="authorization: AWS4-HMAC-SHA256 nonsense")
    assert (raw.status, "requires" in raw.json["message"]) == (403, True)


# ---------------------------------------------------------------- what is seen

PIXEL = {"image": {"format": "png", "source": {"bytes": "QUJD"}}}
PAPER = {"document": {"name": "a b", "format": "pdf", "source": {"bytes": "QUJD"}}}
REASONING = "Better ask."
LOOP: Any = {
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {"role": "user", "content": [{"text": "Hi"}, PIXEL, PAPER]},
        {
            "role": "assistant",
            "content": [
                {
                    "reasoningContent": {
                        "reasoningText": {"text": REASONING, "signature": prove(MODEL, REASONING)}
                    }
                },
                {"reasoningContent": {"redactedContent": prove(MODEL, "redacted")}},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"city": "Rome"}}},
                {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t1",
                        "content": [{"text": "40 C"}, {"json": {"a": 1}}, PIXEL],
                        "status": "error",
                    }
                },
                {"toolResult": {"toolUseId": "t2", "content": []}},
                {"text": "and?"},
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 9000, "topP": 0.5, "stopSequences": ["END"]},
    "toolConfig": {
        "tools": [
            {
                "toolSpec": {
                    "name": "f",
                    "description": "Does",
                    "inputSchema": {"json": {"type": "object"}},
                }
            },
            {"cachePoint": {"type": "default"}},
        ],
        "toolChoice": {"auto": {}},
    },
    "additionalModelRequestFields": {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "top_k": 5,
    },
    "outputConfig": {
        "effort": "low",
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"schema": "{}"}},
        },
    },
    "serviceTier": {"type": "flex"},
}


def test_conversation_is_seen() -> None:
    """In the form that all dialects share."""
    assert complaints(LOOP) == []
    seen = see_converse(LOOP, MODEL)
    assert (seen.system, seen.rounds) == ("Be brief.", 1)
    question, answer, results = (turn.parts for turn in seen.turns)
    assert question[:2] == (SeenText("Hi"), SeenMedia("image", "image/png", 3))
    assert question[2] == SeenMedia("document", "pdf", 3, name="a b")
    assert isinstance(answer[0], SeenReasoning)
    assert answer[2] == SeenCall("t1", "f", {"city": "Rome"})
    image = (SeenMedia("image", "image/png", 3),)
    assert results[:2] == (
        SeenResult("t1", "f", '40 C{"a":1}', True, image),
        SeenResult("t2", "g", "", False),
    )
    assert [tool.name for tool in seen.tools] == ["f"]
    assert seen.options == {
        "max_tokens": 9000,
        "top_p": 0.5,
        "stop": ["END"],
        "tool_choice": "auto",
        "reasoning_budget": 2000,
        "reasoning_effort": "low",
        "top_k": 5,
        "json_schema": "{}",
        "service_tier": "flex",
    }


def test_recorded_requests_are_accepted() -> None:
    """What the real service took."""
    for api in ("converse", "converse-stream"):
        for recorded in exchanges(api):
            text = json.dumps(recorded.request)
            if recorded.status == 200 and recorded.request and "server_tool_use" not in text:
                see_converse(recorded.request, "m")


# ---------------------------------------------------------------- what is refused

DELETED: Any = object()


def changed(path: str, value: Any) -> Any:
    """The conversation with one thing changed."""
    body = copy.deepcopy(LOOP)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = body
    for step in steps:
        place = place[step]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    return body


SOURCE = "messages.0.content.1.image.source"
SPEC = "toolConfig.tools.0.toolSpec"
RESULT = "messages.2.content.0.toolResult"
THOUGHT = "messages.1.content.0.reasoningContent.reasoningText"
THINKING = "additionalModelRequestFields.thinking"

FAULTS: list[tuple[str, Any, str]] = [
    ("messages", [], "length greater"),
    ("messages", DELETED, "not be null"),
    ("messages", 5, "Unexpected field type"),
    ("extra", 1, "extraneous key"),
    ("messages.0.role", "system", "enum value set"),
    ("messages.0.role", "assistant", "start with a user"),
    ("messages.1.role", "user", "alternate"),
    ("messages.0.content", [], "is empty"),
    ("messages.0.content.0.text", " ", "is blank"),
    ("messages.0.content.0", {"text": "a", "image": {}}, "one of its fields"),
    ("messages.0.content.0", {"odd": 1}, "extraneous key"),
    ("messages.0.content.0", {"toolUse": {}}, "User messages cannot"),
    ("messages.1.content.0", PIXEL, "Assistant messages cannot"),
    ("system.0.text", "", "is blank"),
    ("messages.0.content.1.image.format", "bmp", "enum value set"),
    (f"{SOURCE}.bytes", "!!", "Invalid base64"),
    (f"{SOURCE}.bytes", "", "Invalid base64"),
    ("messages.0.content.2.document.name", "a.pdf", "file name can only"),
    ("messages.0.content.2.document.name", "a  b", "file name can only"),
    ("messages.0.content.1", PAPER, "duplicate document"),
    ("messages.0.content", [PAPER], "Add a text block"),
    ("messages.0.content.1", {"audio": {"format": "x", "source": {}}}, "enum value set"),
    ("messages.1.content.2.toolUse.toolUseId", "a b", "regular expression"),
    ("messages.1.content.2.toolUse.toolUseId", "a" * 65, "length less"),
    ("messages.1.content.2.toolUse.toolUseId", "a.b", "should match pattern"),
    ("messages.1.content.2.toolUse.toolUseId", "t2", "unique"),
    ("messages.1.content.2.toolUse.name", "a.b", "regular expression"),
    ("messages.1.content.2.toolUse.input", "x", "Unexpected field type"),
    ("messages.1.content.2", {"text": "x"}, "exceeds the number"),
    (f"{RESULT}.toolUseId", "t9", "Expected toolResult blocks"),
    (f"{RESULT}.status", "odd", "enum value set"),
    (f"{RESULT}.content", [], "cannot be empty"),
    (f"{RESULT}.content", [{"odd": 1}], "extraneous key"),
    (f"{RESULT}.content.0", {"json": [1]}, "Unexpected field type"),
    (f"{THOUGHT}.text", "other", "Invalid `signature`"),
    ("messages.1.content.1.reasoningContent.redactedContent", "QUJD", "Invalid `data`"),
    ("messages.1.content.0", {"text": "x"}, "Expected `thinking`"),
    ("toolConfig", DELETED, "toolConfig field must be defined"),
    ("toolConfig.tools", [], "length greater"),
    (f"{SPEC}.name", "a.b", "regular expression"),
    (f"{SPEC}.description", "", "length greater"),
    (f"{SPEC}.inputSchema.json", {"type": "string"}, "must be one of"),
    ("toolConfig.tools.1", LOOP["toolConfig"]["tools"][0], "more than once"),
    ("toolConfig.toolChoice", {"tool": {"name": "zz"}}, "not in toolConfig.tools"),
    ("toolConfig.toolChoice", {"any": {}}, "forces tool use"),
    ("inferenceConfig.temperature", 2, "less than or equal to 1"),
    ("inferenceConfig.temperature", 0.5, "only be set to 1"),
    ("inferenceConfig.maxTokens", 0, "at least 1"),
    ("inferenceConfig.maxTokens", 2000, "greater than"),
    ("inferenceConfig.stopSequences", [""], "length greater"),
    (f"{THINKING}.budget_tokens", 5, "1024"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS)
def test_fault_in_a_request_is_refused(path: str, value: Any, words: str) -> None:
    """In words like the service's."""
    with pytest.raises(Refused) as caught:
        see_converse(changed(path, value), MODEL)
    assert words in (caught.value.script.error_message or "")
    assert caught.value.script.status == 400


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.0.content.1", {"audio": {"format": "mp3", "source": {"bytes": "QUJD"}}}),
        ("messages.0.content.1.image.source", {"s3Location": {"uri": "s3://b/k"}}),
        (f"{RESULT}.content.0", {"searchResult": {}}),
        (f"{RESULT}.content.0", {**PAPER, "document": {**PAPER["document"], "name": "c"}}),
        ("toolConfig.toolChoice", DELETED),
        (f"{THINKING}.type", "adaptive"),
        ("messages.0.content.1", {"video": {}}),
    ],
)
def test_what_the_service_takes_passes(path: str, value: Any) -> None:
    """Also what is not looked at."""
    see_converse(changed(path, value), MODEL)


def test_choice_of_a_tool_is_seen() -> None:
    """In the words of all dialects."""
    for choice, expected in (({"any": {}}, "required"), ({"tool": {"name": "f"}}, {"name": "f"})):
        body = changed("toolConfig.toolChoice", choice)
        del body["additionalModelRequestFields"]
        assert see_converse(body, MODEL).options["tool_choice"] == expected


async def test_refusal_reaches_the_client() -> None:
    """With the name of the exception; a body that is no object, too."""
    raw = await asked(Script(), {"messages": []})
    assert (raw.status, raw.headers["x-amzn-errortype"].split(":")[0]) == (
        400,
        "ValidationException",
    )
    assert (await asked(Script(), b"[1]")).status == 400


def test_answer_to_be_gone_on_with_ends_in_no_blank() -> None:
    """As the models want it."""
    body = {"messages": [*QUESTION["messages"], {"role": "assistant", "content": [{"text": "a "}]}]}
    with pytest.raises(Refused):
        see_converse(body, MODEL)
