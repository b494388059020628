"""Between client and provider of one protocol nothing is lost and nothing is made up."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.conformance.matrix import FRONTENDS, KINDS
from tests.conformance.protocols import dialect_of, first_kinds
from tests.conformance.rig import Rig
from tests.conformance.samples import MODEL, SAMPLES, Sample, named

PAIRS = [(f, kind) for f in FRONTENDS for kind in first_kinds(KINDS) if dialect_of(kind) == f]

HEADERS = {"authorization": "Bearer k", "x-api-key": "k", "anthropic-version": "2023-06-01"}


class Wire:
    """One protocol's sample, sent through the proxy as it is."""

    def __init__(self, rig: Rig, frontend: str, kind: str) -> None:
        self.rig = rig
        self.sample: Sample = SAMPLES[frontend]
        self.model = rig.model("verbatim")
        self.route = f"{kind}-verbatim:{self.model}"
        stream = self.sample.stream(self.model)
        rig.run(lambda: rig.verbatim.set(self.model, stream))

    def post(self, *, is_streaming: bool) -> httpx.Response:
        """The sample's request."""
        body = json.loads(named(json.dumps(self.sample.request), self.route))
        path = self.sample.path.replace(MODEL, quote(self.route, safe=""))
        if not is_streaming:
            for name in ("stream", "stream_options"):
                body.pop(name, None)
            path = path.replace("streamGenerateContent?alt=sse", "generateContent")
        with httpx.Client(trust_env=False, timeout=20, headers=HEADERS) as client:
            return client.post(self.rig.origin + path, json=body)


@pytest.mark.parametrize(("frontend", "kind"), PAIRS)
def test_request_arrives_as_it_was_written(frontend: str, kind: str, rig: Rig) -> None:
    """Unknown fields at every level, unknown parts in their order, and nulls."""
    wire = Wire(rig, frontend, kind)
    response = wire.post(is_streaming=True)
    assert 200 == response.status_code, response.text
    expected = json.loads(named(json.dumps(wire.sample.request), wire.model))
    asked = json.loads(rig.run(lambda: rig.verbatim.asked[wire.model]))
    assert expected == asked


@pytest.mark.parametrize(("frontend", "kind"), PAIRS)
def test_stream_arrives_as_it_was_sent(frontend: str, kind: str, rig: Rig) -> None:
    """Every event, the unknown ones, too, under its name and in its order."""
    wire = Wire(rig, frontend, kind)
    response = wire.post(is_streaming=True)
    expected = _events(wire.sample.stream(wire.model) + wire.sample.added)
    assert expected == _events(response.content)


def _events(stream: bytes) -> list[tuple[str, Any]]:
    """Names and data; comments are nobody's."""
    found = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        fields = dict(line.split(b": ", 1) for line in lines)
        if data := fields.get(b"data"):
            name = fields.get(b"event", b"").decode()
            found.append((name, data.decode() if data == b"[DONE]" else json.loads(data)))
    return found


@pytest.mark.parametrize(("frontend", "kind"), PAIRS)
def test_whole_answer_is_what_the_provider_would_have_said(
    frontend: str, kind: str, rig: Rig
) -> None:
    """The upstream is asked to stream; what is folded is the body that it did not send."""
    wire = Wire(rig, frontend, kind)
    response = wire.post(is_streaming=False)
    expected = json.loads(named(json.dumps(wire.sample.whole), wire.model))
    assert expected == response.json()
