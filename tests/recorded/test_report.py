"""The report on recordings, on a folder made for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT
from tests.recorded.report import main

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
WHOLE = {
    "id": "c",
    "model": "m",
    "created": 1,
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
}


def record(folder: Path, api: str, name: str, body: str, **more: Any) -> None:
    """Writes one exchange."""
    status = more.pop("status", 200)
    request = {"path": "/v1/x", "json": more.pop("request", REQUEST)}
    value = {
        "provider": "somebody",
        "tags": more.pop("tags", []),
        "request": request,
        "response": {"status": status, "headers": {}, "body_text": body},
    }
    path = folder / "somebody" / api / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_folder_that_is_read_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every provider and API has a row, errors and what is no answer included."""
    stream = 'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    record(tmp_path, "chat-completions", "a", json.dumps(WHOLE))
    record(tmp_path, "chat-completions", "b", stream, tags=["streaming"])
    record(tmp_path, "chat-completions", "c", '{"error":{"message":"no"}}', status=400)
    record(tmp_path, "models", "d", "{}")
    assert main(["--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["somebody", "chat-completions", *"1120010000"]
    assert "100.00% of the streams and bodies are read." in lines


def test_folder_that_is_not_read_fails_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body that is cut, one that is none, a request that is wrong; each by its name."""
    record(tmp_path, "chat-completions", "whole", json.dumps(WHOLE))
    record(tmp_path, "chat-completions", "cut", "data: {}\n\n", tags=["streaming"])
    record(tmp_path, "messages", "none", "<html>", request={"messages": 5})
    record(tmp_path, "invoke-stream", "odd", "?", request={"anthropic_version": "x"})
    record(tmp_path, "converse-stream", "odd", '{"contentBlockDelta":', tags=["streaming"])
    assert main(["--folder", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "20.00% of the streams and bodies are read." in text
    for name in ("chat-completions/somebody/cut", "messages/somebody/none"):
        assert f"\nrefused: {name}\n" in text
    assert "request refused: messages/somebody/none\n    messages: expected" in text


def test_empty_folder_fails(tmp_path: Path) -> None:
    """Nothing was read there."""
    assert main(["--folder", str(tmp_path)]) == 1


def test_missing_folder_is_an_error_of_usage(tmp_path: Path) -> None:
    """With a message, not a report on nothing."""
    with pytest.raises(SystemExit) as exit_:
        main(["--folder", str(tmp_path / "none")])
    assert exit_.value.code == 2


def test_script_can_be_executed() -> None:
    """As its first lines say."""
    assert os.access(ROOT / "scripts" / "recordings", os.X_OK)
