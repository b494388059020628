"""Recorded exchanges with real providers, which lie beside the repository where they are present.

Each is a JSON file; the folder's own README describes the format. A test that asks for them is
skipped where the folder is missing.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

FOLDER = Path(__file__).resolve().parents[1] / ".." / "shared" / "recordings"


@attrs.frozen
class Exchange:
    """One request and its response.

    Attributes:
        name: The file, for messages.
        request: The request's JSON body, or None where it was not recorded.
        headers: Of the response, names in lower case.
        body: Of the response, after content encodings were undone; for streams all of it.
        path: Of the request, with its query; empty where it was not recorded.
    """

    name: str
    provider: str
    tags: frozenset[str]
    request: Any
    status: int
    headers: dict[str, str]
    body: bytes
    api: str = ""
    path: str = ""

    @property
    def is_stream(self) -> bool:
        """Whether a stream was asked for and answered."""
        return "streaming" in self.tags and self.status == 200


def exchanges(api: str) -> Iterator[Exchange]:
    """All exchanges of one API (``chat-completions``, ``messages`` ...), in a fixed order."""
    if not FOLDER.is_dir():
        pytest.skip("no recordings here")
    yield from _load(api)


def all_exchanges(folder: Path) -> tuple[Exchange, ...]:
    """Those of any folder of this form, in a fixed order."""
    return tuple(_exchange(path) for path in sorted(folder.glob("*/*/*.json")))


@functools.cache
def _load(api: str) -> tuple[Exchange, ...]:
    return tuple(_exchange(path) for path in sorted(FOLDER.glob(f"*/{api}/*.json")))


def _exchange(path: Path) -> Exchange:
    value = json.loads(path.read_bytes())
    response = value["response"]
    if response["body_text"] is not None:
        body = response["body_text"].encode()
    else:
        body = base64.b64decode(response.get("body_base64") or "")
    return Exchange(
        f"{path.parts[-3]}/{path.stem}",
        value["provider"],
        frozenset(value["tags"]),
        (value.get("request") or {}).get("json"),
        response["status"],
        {name.lower(): text for name, text in (response["headers"] or {}).items()},
        body,
        path.parts[-2],
        (value.get("request") or {}).get("path") or "",
    )
