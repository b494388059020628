"""What the errors of OpenAI's SDK say, for both of its protocols."""

from __future__ import annotations

from typing import Any

import openai

from tests.conformance.outcome import Failure


def openai_failure(error: Exception) -> Failure | None:
    """None for what is not the SDK's."""
    if not isinstance(error, openai.APIError):
        return None
    response: Any = getattr(error, "response", None)
    return Failure(
        error=type(error).__name__,
        status=getattr(error, "status_code", None),
        words=tuple(str(word) for word in (error.type, error.code) if word),
        message=error.message,
        retry_after=response.headers.get("retry-after") if response is not None else None,
        body=error.body,
    )
