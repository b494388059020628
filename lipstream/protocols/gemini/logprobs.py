"""Log probabilities: Gemini's two lists to OpenAI's entries, which are canonical, and back.

``chosenCandidates`` has one token per place, ``topCandidates`` the alternatives of each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lipstream.protocols.gemini.wire import Fields

Entries = tuple[Mapping[str, object], ...]


def decode_logprobs(result: Any) -> Entries | None:
    """The entries of a ``logprobsResult``; None where it has none."""
    chosen = _list(result, "chosenCandidates")
    tops = _list(result, "topCandidates")
    if not chosen:
        return None
    entries: list[Fields] = []
    for i, token in enumerate(chosen):
        others = _list(tops[i], "candidates") if i < len(tops) else []
        entries.append(_entry(token) | {"top_logprobs": [_entry(other) for other in others]})
    return tuple(entries)


def encode_logprobs(entries: Iterable[Mapping[str, object]]) -> Fields:
    """A ``logprobsResult`` of entries."""
    found = list(entries)
    tops = [_list(entry, "top_logprobs") for entry in found]
    result: Fields = {"chosenCandidates": [_candidate(entry) for entry in found]}
    if any(tops):
        result["topCandidates"] = [
            {"candidates": [_candidate(other) for other in others]} for others in tops
        ]
    return result


def _entry(candidate: Any) -> Fields:
    fields = candidate if isinstance(candidate, dict) else {}
    token = fields.get("token")
    text = token if isinstance(token, str) else ""
    entry: Fields = {
        "token": text,
        "logprob": fields.get("logProbability", 0.0),
        "bytes": list(text.encode(errors="replace")),
    }
    return entry | {"token_id": fields["tokenId"]} if "tokenId" in fields else entry


def _candidate(entry: Any) -> Fields:
    fields = entry if isinstance(entry, Mapping) else {}
    candidate: Fields = {"token": fields.get("token"), "logProbability": fields.get("logprob")}
    return candidate | {"tokenId": fields["token_id"]} if "token_id" in fields else candidate


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []
