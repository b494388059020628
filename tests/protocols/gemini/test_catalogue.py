"""Lists of models and counts of tokens."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical.ask import Ask
from lipstream.errors import BadRequest
from lipstream.protocols.gemini import SERVER
from tests.protocols.gemini.building import HI, WHOLE

MODELS = [f"m{i}" for i in range(120)]


def test_model_is_told_by_its_resource_name() -> None:
    """With what it can be asked for, and no figures that nobody knows."""
    assert json.loads(SERVER.encode_model("openai:gpt-4o")) == {
        "name": "models/openai:gpt-4o",
        "version": "",
        "displayName": "openai:gpt-4o",
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }


def test_pages_together_are_the_list() -> None:
    """Each names the next one, the last names none."""
    found: list[str] = []
    token = ""
    while True:
        page = json.loads(SERVER.encode_models(MODELS, page_token=token))
        found += [model["displayName"] for model in page["models"]]
        if "nextPageToken" not in page:
            break
        token = page["nextPageToken"]
    assert found == MODELS


def test_size_of_a_page_is_the_clients_choice_within_limits() -> None:
    """As with the service."""
    page = json.loads(SERVER.encode_models(MODELS, page_size="7", methods=("generateContent",)))
    assert len(page["models"]) == 7
    assert page["models"][0]["supportedGenerationMethods"] == ["generateContent"]
    assert len(json.loads(SERVER.encode_models(MODELS * 20, page_size="5000"))["models"]) == 1000
    assert json.loads(SERVER.encode_models([])) == {"models": []}


@pytest.mark.parametrize("text", ["x", "-1", "1" * 10, "٣"])
def test_odd_numbers_are_refused(text: str) -> None:
    """With the name of the parameter."""
    with pytest.raises(BadRequest, match="pageToken: expected a number"):
        SERVER.encode_models(MODELS, page_token=text)


def test_count_is_told() -> None:
    """The one field that clients read."""
    assert json.loads(SERVER.encode_token_count(12)) == {"totalTokens": 12}


@pytest.mark.parametrize("key", ["generateContentRequest", "generate_content_request"])
def test_count_request_holds_contents_or_a_request(key: str) -> None:
    """Both name what is to be counted."""
    ask = Ask("m", "countTokens")
    bare = SERVER.decode_count_request(json.dumps(HI).encode(), ask)
    inner = {"model": "models/x", **HI}
    within = SERVER.decode_count_request(json.dumps({key: inner}).encode(), ask)
    assert bare == within == SERVER.decode_request(json.dumps(HI).encode(), WHOLE)
    with pytest.raises(BadRequest, match=rf"{key}\.contents: missing"):
        SERVER.decode_count_request(json.dumps({key: {}}).encode(), ask)
