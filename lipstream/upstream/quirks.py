"""What a provider does differently from its protocol, as functions that its row may name.

Every function is optional; a provider that keeps to the protocol has none. They are pure: what they
are given they may keep and change, and they raise nothing but a ClientFault, where the provider
cannot take the call. Here are the hook and what several providers have in common; what one provider
alone needs is in a module of its own that knows this one, never the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from lipstream.canonical.call import Call
from lipstream.errors import UpstreamFault
from lipstream.framing.sse import encode_json
from lipstream.upstream.client import Request

Fields = dict[str, Any]
Headers = Sequence[tuple[str, str]]

PatchBody = Callable[[Fields, Call, str], Fields]
Poll = Callable[[Request, int, Mapping[str, str]], Request | None]


@attrs.frozen(kw_only=True)
class Quirks:
    """The differences of one provider.

    Attributes:
        patch_body: From the request's JSON, the call and the model's name on the wire to the JSON
            that is sent. Only with it is a body decoded again after it was encoded.
        patches_own: Whether that is for calls, too, that are sent in the protocol they came in.
        headers: More headers for one call. They count more than configured ones of the same name,
            but never more than the key's.
        read_error: What an error response means (status, headers with lower-case names, body);
            None leaves it to the protocol.
        model: The model's name on the wire.
        resolve_dialect: The name of the protocol that a call is to be sent in; None, or one that
            the backend does not speak, leaves the choice to the backend.
        carried: The names of the extra fields of a call in another protocol that ``patch_body``
            writes all the same: they are not lost.
        poll: From a request and the status and headers of its answer to the request by which the
            answer is to be had that is not ready yet; None where this is the answer.
    """

    patch_body: PatchBody | None = None
    patches_own: bool = True
    headers: Callable[[Call], Headers] | None = None
    read_error: Callable[[int, Mapping[str, str], bytes], UpstreamFault | None] | None = None
    model: Callable[[str], str] | None = None
    resolve_dialect: Callable[[Call], str | None] | None = None
    carried: Callable[[Call], Collection[str]] | None = None
    poll: Poll | None = None


NONE = Quirks()


def patched(body: bytes, call: Call, model: str, patch: PatchBody) -> bytes:
    """An encoded request with a patch applied."""
    return encode_json(patch(msgspec.json.decode(body), call, model))


# ---------------------------------------------------------------- in common


def without_fields(*names: str) -> PatchBody:
    """Leaves fields out that a provider refuses to see."""

    def patch(fields: Fields, call: Call, model: str) -> Fields:
        return {name: value for name, value in fields.items() if name not in names}

    return patch


def renamed_fields(names: Mapping[str, str]) -> PatchBody:
    """Writes fields under a provider's own names; one that is there under both keeps its own."""

    def patch(fields: Fields, call: Call, model: str) -> Fields:
        known = {name: value for name, value in fields.items() if name not in names}
        moved = {names[name]: value for name, value in fields.items() if name in names}
        return {**moved, **known}

    return patch


def in_turn(*patches: PatchBody) -> PatchBody:
    """One patch after the other."""

    def patch(fields: Fields, call: Call, model: str) -> Fields:
        for each in patches:
            fields = each(fields, call, model)
        return fields

    return patch
