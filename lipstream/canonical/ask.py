"""What a request says outside its body: in the path, in the query and in headers."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Ask:
    """The frame of one request.

    Attributes:
        model: The model that the path names (Gemini), decoded; else empty.
        action: What the path asks of it (``streamGenerateContent``); else empty.
        query: Decoded query parameters, the last value of each; a credential is not among them.
        headers: Request headers, names in lower case.
    """

    model: str = ""
    action: str = ""
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


BODY_ALONE = Ask()
