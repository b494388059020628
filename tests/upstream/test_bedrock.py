"""Bedrock as a backend: where it is, as whom it is asked, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.parts import Text
from lipstream.canonical.secret import Secret
from lipstream.compose import build, resolve
from lipstream.config.load import load_config
from lipstream.config.schema import BedrockEntry
from lipstream.emulators.aws_signature import ACCESS_KEY, SECRET_KEY
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.upstream.bedrock import filled_bedrock
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.providers import KINDS

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CALL = Call(
    dialect="openai_chat",
    model="m",
    messages=(Message(Role.USER, (Text("hé"),)),),
    is_streaming=True,
)


def filled(environment: dict[str, str] | None = None, **fields: Any) -> BedrockEntry:
    """An entry that is filled in; complaints name their field."""
    entry = BedrockEntry(kind="bedrock", **fields)
    return filled_bedrock(
        entry, environment or {}, lambda field, why: ConfigError(f"{field}: {why}")
    )


@pytest.mark.parametrize(
    ("environment", "fields", "region"),
    [
        ({}, {}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, {}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-1"}, {}, "eu-west-2"),
        ({"AWS_REGION": " "}, {}, "us-east-1"),
        ({"AWS_REGION": "eu-west-2"}, {"region": "us-gov-west-1"}, "us-gov-west-1"),
    ],
)
def test_region_is_found(environment: dict[str, str], fields: Any, region: str) -> None:
    """In the configuration, else in AWS's own variables; it says where the service is."""
    entry = filled(environment, **fields)
    assert entry.region == region
    assert entry.base_url == f"https://bedrock-runtime.{region}.amazonaws.com"


def test_china_has_a_domain_of_its_own() -> None:
    """As with every service of AWS."""
    entry = filled(region="cn-north-1")
    assert entry.base_url == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"base_endpoint": "https://vpce.example/x"}, "https://vpce.example/x"),
        ({"base_url": "https://vpce.example"}, "https://vpce.example"),
        ({"base_endpoint": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"base_endpoint": "http://[::1]:8080"}, "http://[::1]:8080"),
        ({"base_endpoint": "https://localhost.", "disable_https": True}, "http://localhost."),
        (
            {"base_endpoint": "http://proxy:1", "allow_insecure_non_loopback": True},
            "http://proxy:1",
        ),
    ],
)
def test_endpoint_may_be_another(fields: Any, url: str) -> None:
    """Unencrypted only on this machine, unless that is said to be wanted."""
    assert filled(**fields).base_url == url


ONE = {"access_key_id": Secret("a")}
BOTH = {**ONE, "secret_access_key": Secret("b")}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"region": "https://evil"}, "region"),
        ({"base_endpoint": "https://a", "base_url": "https://a"}, "base_endpoint"),
        ({"base_endpoint": "http://example.com"}, "base_endpoint"),
        ({"base_endpoint": "https://10.0.0.1", "disable_https": True}, "disable_https"),
        ({"disable_https": True}, "disable_https"),
        (ONE, "secret_access_key"),
        ({"secret_access_key": Secret("b")}, "access_key_id"),
        ({**BOTH, "api_key": Secret("c")}, "access_key_id"),
    ],
)
def test_settings_that_do_not_fit_are_told(fields: Any, field: str) -> None:
    """With the field at fault."""
    with pytest.raises(ConfigError, match=f"^{field}: "):
        filled(**fields)


# ---------------------------------------------------------------- from a configuration


def config(text: str, environment: dict[str, str] | None = None) -> Any:
    """A configuration from YAML."""
    return load_config(text, kinds=KINDS, environment=environment or {}, source="x.yaml")


def test_complaint_names_its_place() -> None:
    """As every other one."""
    text = "backends:\n  bedrock:\n    region: us-east-1\n    disable_https: true\n"
    with pytest.raises(ConfigError) as caught:
        resolve(config(text), {})
    assert str(caught.value).startswith("x.yaml:4: backends.bedrock.disable_https: needs a")


def test_key_in_the_environment_makes_a_backend() -> None:
    """And no key is no reason to warn: AWS has others."""
    found = resolve(config(""), {"AWS_BEARER_TOKEN_BEDROCK": "k"}).backends["bedrock"]
    assert isinstance(found, BedrockEntry)
    assert found.api_key == Secret("k")
    assert resolve(config("backends: {bedrock: }"), {}).warnings == ()


async def asked(emulator: Emulator, call: Call = CALL, **settings: Any) -> list[e.Event]:
    """The events of one call to a configured backend."""
    fields = {"kind": "bedrock", "base_endpoint": emulator.origin, **settings}
    runtime = build(config(f"backends: {{b: {fields}}}".replace("'", '"')), {})
    backend = runtime.backends["b"]
    assert isinstance(backend, HttpBackend)
    events: list[e.Event] = []
    try:
        answer = await backend.open(call, Candidate("b", MODEL))
        while not events or type(events[-1]) not in e.TERMINAL:
            events += await answer.receive()
        await answer.aclose()
    finally:
        for client in runtime.clients:
            await client.aclose()
    return events


def text_of(events: list[e.Event]) -> str:
    """The text of an answer that is complete."""
    assert isinstance(events[-1], e.Finished)
    return "".join(event.text for event in events if isinstance(event, e.TextDelta))


SIGNED: Any = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}


@pytest.mark.parametrize("more", [{}, {"session_token": "t"}, {"transport": "httpx"}])
async def test_signed_request_is_accepted(more: Any) -> None:
    """The service computes the same signature over what it got."""
    async with Emulator(default=Script(text="hi"), expect_key=ACCESS_KEY) as emulator:
        assert text_of(await asked(emulator, **SIGNED, **more)) == "hi"
        (entry,) = emulator.ledger
        assert entry.model == MODEL
        assert entry.path.endswith("/converse-stream")
        assert entry.headers["accept"].startswith("application/vnd.amazon.eventstream")
        assert entry.headers.get("x-amz-security-token") == more.get("session_token")
        assert emulator.failures == []


async def test_whole_answer_is_read_where_no_stream_is_wanted() -> None:
    """From the other path, if the backend asks for one."""
    async with Emulator(default=Script(text="hi")) as emulator:
        call = CALL.changed(is_streaming=False)
        assert text_of(await asked(emulator, call, **SIGNED)) == "hi"


async def test_api_key_goes_as_a_bearer_token() -> None:
    """Nothing is signed then, and botocore is not needed."""
    async with Emulator(default=Script(text="hi"), expect_key="k1") as emulator:
        assert text_of(await asked(emulator, api_key="k1")) == "hi"
        (entry,) = emulator.ledger
        assert entry.headers["authorization"] == "Bearer k1"
        assert "x-amz-date" not in entry.headers


async def test_keys_of_awss_own_tools_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the configuration has none."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    async with Emulator(default=Script(text="hi"), expect_key=ACCESS_KEY) as emulator:
        assert text_of(await asked(emulator)) == "hi"


@pytest.mark.parametrize(
    ("settings", "script", "kind"),
    [
        ({**SIGNED, "secret_access_key": "wrong"}, Script(), FaultKind.CREDENTIALS),
        ({"api_key": "wrong"}, Script(), FaultKind.CREDENTIALS),
        (SIGNED, Script(status=429, retry_after=3), FaultKind.RATE_LIMIT),
        (SIGNED, Script(status=503), FaultKind.OVERLOADED),
        (SIGNED, Script(status=424), FaultKind.SERVER),
        (SIGNED, Script(status=408), FaultKind.TRANSIENT),
        (SIGNED, Script(status=400, error_code="context_length_exceeded"),
         FaultKind.CONTEXT_LENGTH),
        (SIGNED, Script(status=400, error_code="model_not_found"), FaultKind.NOT_FOUND),
    ],
)  # fmt: skip
async def test_refusal_is_what_it_says(settings: Any, script: Script, kind: FaultKind) -> None:
    """By the name of the exception and by its words."""
    async with Emulator(default=script, expect_key=ACCESS_KEY) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(emulator, **settings)
    assert caught.value.kind is kind


async def test_stream_that_breaks_is_a_fault() -> None:
    """Cut in the middle of a message, or ended by an exception."""
    async with Emulator(default=Script(words=9, error_after=3)) as emulator:
        events = await asked(emulator, **SIGNED)
        assert isinstance(events[-1], e.StreamFailed)
        assert events[-1].fault.kind is FaultKind.OVERLOADED
    async with Emulator(default=Script(words=9, cut_after=3)) as emulator:
        with pytest.raises(UpstreamFault) as caught:
            await asked(emulator, **SIGNED)
        assert caught.value.kind is FaultKind.TRUNCATED
