"""What an upstream's error means, whatever protocol it speaks.

An error is classified first by its code and its words, because servers disagree about the status (a
prompt that is too long comes as 400, 413 or 500), then by the status. The upstream's own text goes
into ``detail`` only, with everything that looks like a key taken out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from lipstream.errors import FaultKind, UpstreamFault

MAX_DETAIL = 512

# ---------------------------------------------------------------- codes, words, statuses

_CODES: dict[str, FaultKind] = {
    # the prompt
    "context_length_exceeded": FaultKind.CONTEXT_LENGTH,
    "exceed_context_size_error": FaultKind.CONTEXT_LENGTH,  # llama.cpp
    "string_above_max_length": FaultKind.CONTEXT_LENGTH,
    # the rest of the request, as a response that failed names it
    "invalid_prompt": FaultKind.BAD_REQUEST,
    "invalid_image": FaultKind.BAD_REQUEST,
    "invalid_image_format": FaultKind.BAD_REQUEST,
    "invalid_image_url": FaultKind.BAD_REQUEST,
    "invalid_base64_image": FaultKind.BAD_REQUEST,
    "image_too_large": FaultKind.BAD_REQUEST,
    "image_too_small": FaultKind.BAD_REQUEST,
    "image_parse_error": FaultKind.BAD_REQUEST,
    "image_file_too_large": FaultKind.BAD_REQUEST,
    "unsupported_image_media_type": FaultKind.BAD_REQUEST,
    "failed_to_download_image": FaultKind.BAD_REQUEST,
    # policy
    "content_filter": FaultKind.CONTENT_FILTER,
    "content_policy_violation": FaultKind.CONTENT_FILTER,
    "moderation_blocked": FaultKind.CONTENT_FILTER,
    "image_content_policy_violation": FaultKind.CONTENT_FILTER,
    "responsibleaipolicyviolation": FaultKind.CONTENT_FILTER,  # Azure, in innererror
    "data_inspection_failed": FaultKind.CONTENT_FILTER,  # Alibaba
    # the key is dead, or nobody pays for it; some of these come as 400 or 429
    "invalid_api_key": FaultKind.CREDENTIALS,
    "api_key_invalid": FaultKind.CREDENTIALS,
    "account_deactivated": FaultKind.CREDENTIALS,
    "insufficient_quota": FaultKind.CREDENTIALS,
    "insufficient_balance": FaultKind.CREDENTIALS,
    "insufficient_user_quota": FaultKind.CREDENTIALS,
    "billing_hard_limit_reached": FaultKind.CREDENTIALS,
    "billing_not_active": FaultKind.CREDENTIALS,
    "billing_error": FaultKind.CREDENTIALS,  # Anthropic
    "payment_required": FaultKind.CREDENTIALS,  # OpenRouter
    "access_terminated": FaultKind.CREDENTIALS,
    "authentication_error": FaultKind.CREDENTIALS,
    "permission_error": FaultKind.CREDENTIALS,
    "unauthorized": FaultKind.CREDENTIALS,
    # the model
    "model_not_found": FaultKind.NOT_FOUND,
    "model_not_active": FaultKind.NOT_FOUND,
    "model_decommissioned": FaultKind.NOT_FOUND,
    "deploymentnotfound": FaultKind.NOT_FOUND,  # Azure
    "invalid_model": FaultKind.NOT_FOUND,  # Mistral
    "notfounderror": FaultKind.NOT_FOUND,  # vLLM
    # load
    "rate_limit_exceeded": FaultKind.RATE_LIMIT,
    "rate_limit_error": FaultKind.RATE_LIMIT,
    "rate_limit_reached_error": FaultKind.RATE_LIMIT,  # Moonshot
    "resource_exhausted": FaultKind.RATE_LIMIT,
    "overloaded": FaultKind.OVERLOADED,
    "overloaded_error": FaultKind.OVERLOADED,
    "engine_overloaded": FaultKind.OVERLOADED,
    "engine_overloaded_error": FaultKind.OVERLOADED,  # Moonshot
    "server_overloaded": FaultKind.OVERLOADED,
    "service_unavailable": FaultKind.OVERLOADED,
    "provider_overloaded": FaultKind.OVERLOADED,  # OpenRouter
    "unavailable_error": FaultKind.OVERLOADED,  # llama.cpp while it loads
    "insufficient_system_resource": FaultKind.OVERLOADED,  # DeepSeek, as a finish reason
    # the model's failure, though Groq calls it a bad request: another one may do better
    "tool_use_failed": FaultKind.SERVER,
    "json_validate_failed": FaultKind.SERVER,
    "output_parse_failed": FaultKind.SERVER,
    "timeout": FaultKind.TRANSIENT,
    "timeout_error": FaultKind.TRANSIENT,  # Anthropic
}
_BROAD_CODES: dict[str, FaultKind] = {
    # types that say less than the status; they count where there is none
    "invalid_request_error": FaultKind.BAD_REQUEST,
    "badrequesterror": FaultKind.BAD_REQUEST,
    "invalid_value": FaultKind.BAD_REQUEST,
    "not_found_error": FaultKind.NOT_FOUND,
    "requests": FaultKind.RATE_LIMIT,
    "tokens": FaultKind.RATE_LIMIT,
    # google.rpc.Code
    "invalid_argument": FaultKind.BAD_REQUEST,
    "failed_precondition": FaultKind.BAD_REQUEST,
    "out_of_range": FaultKind.BAD_REQUEST,
    "unauthenticated": FaultKind.CREDENTIALS,
    "permission_denied": FaultKind.CREDENTIALS,
    "not_found": FaultKind.NOT_FOUND,
    "cancelled": FaultKind.TRANSIENT,
    "aborted": FaultKind.TRANSIENT,
    "already_exists": FaultKind.TRANSIENT,
    "deadline_exceeded": FaultKind.SERVER,
    "unavailable": FaultKind.OVERLOADED,
}
_WORDS: tuple[tuple[FaultKind, re.Pattern[str]], ...] = (
    (
        FaultKind.CONTEXT_LENGTH,
        re.compile(
            r"maximum context length|max(imum)? (model|context) (length|size|window)"
            r"|context[ _](length|window|size)|prompt (is )?too long|input (is )?too long"
            r"|too many (input )?tokens|reduce the length|exceeds? (the )?(available )?context"
            r"|request too large for model|exceeds the limit of \d+ tokens"
            r"|exceeds the maximum number of (input )?tokens",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.CONTENT_FILTER,
        re.compile(
            r"content (management )?policy|content filter|flagged (by|for|as)|safety system"
            r"|moderation|inappropriate content",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.NOT_FOUND,
        re.compile(
            r"is not a valid model|model identifier is invalid|model not found|no such model"
            r"|unknown model|invalid model|model names are"
            r"|model [`'\"]?[^ ]+ (does not exist|not found|is not available)",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.CREDENTIALS,
        re.compile(
            r"(invalid|incorrect|expired) api key|api key (not valid|expired)"
            r"|credit balance is too low"
            r"|user location is not supported",
            re.IGNORECASE,
        ),
    ),
    (
        FaultKind.OVERLOADED,
        re.compile(
            r"overloaded|(at|over) capacity|(server|system) is (currently )?busy"
            r"|degraded function",  # NVIDIA, with a 400
            re.IGNORECASE,
        ),
    ),
    (FaultKind.RATE_LIMIT, re.compile(r"rate.?limit|too many requests", re.IGNORECASE)),
)
_EMPTY_WORDS = frozenset({"error", "about:blank"})  # they only say what everybody knows
_WORDY = frozenset({FaultKind.BAD_REQUEST, FaultKind.SERVER})  # where the words are listened to

_STATUSES: dict[int, FaultKind] = {
    401: FaultKind.CREDENTIALS,
    402: FaultKind.CREDENTIALS,
    403: FaultKind.CREDENTIALS,
    404: FaultKind.NOT_FOUND,
    405: FaultKind.NOT_FOUND,
    408: FaultKind.TRANSIENT,
    409: FaultKind.TRANSIENT,
    410: FaultKind.NOT_FOUND,
    424: FaultKind.TRANSIENT,
    425: FaultKind.TRANSIENT,
    429: FaultKind.RATE_LIMIT,
    498: FaultKind.OVERLOADED,  # Groq: no capacity in the flex tier
    503: FaultKind.OVERLOADED,
    529: FaultKind.OVERLOADED,
}


def _kind_of_status(status: int) -> FaultKind:
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return FaultKind.BAD_REQUEST
    return FaultKind.SERVER if status >= 500 else FaultKind.PROTOCOL


# ---------------------------------------------------------------- upstream


class Complaint:
    """What an error object says, whatever its shape.

    Understood are OpenAI's ``{"error": {...}}`` and its bare inside, ``{"error": "text"}``,
    ``{"message": ...}``, FastAPI's ``{"detail": ...}``, problem details (RFC 9457) and any of
    these as the first entry of a list.
    """

    def __init__(self, value: Any) -> None:
        self.codes: list[str] = []
        self.texts: list[str] = []
        self.status: int | None = None
        self._read(value)

    def _read(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, list) and value and depth < 4:
            self._read(value[0], depth + 1)
        elif isinstance(value, dict) and depth < 4:
            for name in ("code", "type", "error_type", "title", "status", "status_code"):
                self._word(value.get(name))
            for name in ("message", "msg", "detail", "error", "innererror", "metadata", "raw"):
                self._read(value.get(name), depth + 1)

    def _word(self, value: Any) -> None:
        if isinstance(value, str) and value not in _EMPTY_WORDS:
            self.codes.append(value.rpartition(":")[2] if value.startswith("urn:") else value)
        elif isinstance(value, int) and 400 <= value < 600 and self.status is None:
            self.status = value

    @property
    def code(self) -> str | None:
        """The provider's most telling word."""
        codes = [code.lower() for code in self.codes]
        known = [i for i, code in enumerate(codes) if code in _CODES]
        return self.codes[known[0]] if known else next(iter(self.codes), None)

    def kind(self, status: int | None) -> FaultKind:
        """The class of the fault; ``status`` is that of the response, None inside a stream."""
        if self.code is not None and self.code.lower() in _CODES:
            return self._weighed(_CODES[self.code.lower()])
        status = status or self.status
        if status is not None:
            return self._weighed(_kind_of_status(status))
        broad = (_BROAD_CODES.get(code.lower()) for code in self.codes)
        return self._weighed(next((kind for kind in broad if kind), FaultKind.SERVER))

    def _weighed(self, kind: FaultKind) -> FaultKind:
        """The class that the words name, where ``kind`` is one that leaves room for it."""
        text = " ".join(self.texts)
        if kind in _WORDY:
            return next((other for other, words in _WORDS if words.search(text)), kind)
        if kind is FaultKind.CREDENTIALS and re.search(r"moderation|flagged", text, re.IGNORECASE):
            return FaultKind.CONTENT_FILTER  # OpenRouter: 403
        if kind is FaultKind.RATE_LIMIT and re.search(r"request too large", text, re.IGNORECASE):
            return FaultKind.CONTEXT_LENGTH  # Groq: 413, larger than the limit per minute
        return kind


def is_problem(fields: Mapping[str, Any]) -> bool:
    """Whether an object is problem details (RFC 9457), as NVIDIA sends them also in streams."""
    kind, status = fields.get("type"), fields.get("status")
    is_named = isinstance(kind, str) and kind.startswith(("urn:", "about:"))
    return is_named or (isinstance(status, int) and status >= 400 and "title" in fields)


def fault_in_stream(value: Any) -> UpstreamFault:
    """What an error inside a 200 response means."""
    complaint = Complaint(value)
    return UpstreamFault(
        complaint.kind(None),
        "the upstream reported an error in its answer",
        status=complaint.status,
        code=complaint.code,
        detail=redacted(" ".join(complaint.texts)),
    )


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """What an error response means. Header names are lower-case; any body will do, also none."""
    text = body.decode(errors="replace")
    try:
        complaint = Complaint(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        complaint = Complaint(text)
    text = " ".join(complaint.texts) or text
    kind = complaint.kind(status)
    wait = retry_after(headers)
    if wait is None and kind is FaultKind.RATE_LIMIT:
        wait = until_reset(headers, text)
    return UpstreamFault(
        kind,
        f"the upstream answered {status}",
        status=status,
        code=complaint.code,
        retry_after=wait,
        detail=redacted(text),
    )


# ---------------------------------------------------------------- keys

_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|pplx|csk|fw|r8|tgp|sess)[-_][-_.A-Za-z0-9*]{6,}"
    r"|\b(?:AIza|AKIA|ya29)[-_.A-Za-z0-9]{6,}"
    r"|\beyJ[-_.A-Za-z0-9]{10,}"  # JSON web tokens
    r"|\b[0-9a-fA-F]{32,}\b"
    r"|[^\s'\":/?=&]*\*{3,}[^\s'\",&]*"  # what the upstream had masked itself
    r"|(?<=Bearer )[^\s\"',;]+"
    r"|(?<=key provided: )[^\s\"',;]*[^\s\"',;.]"
    r"|(?<=[?&]key=)[^\s\"'&]+",
    re.ASCII,
)


def redacted(text: str) -> str | None:
    """The text without anything that looks like a key, at most MAX_DETAIL characters; or None."""
    text = _SECRETS.sub("[redacted]", text[: MAX_DETAIL * 4]).strip()
    return (text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…") or None


# ---------------------------------------------------------------- how long to wait

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_IN_WORDS = re.compile(rf"(?:again|retry) in ((?:{_SPAN.pattern})+)", re.IGNORECASE)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until it is worth asking again, or None where the upstream did not say.

    A date is measured against the response's own ``date`` header: no clock is needed, and the
    upstream's clock may be wrong.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after", "")
    seconds = _seconds(given)
    if seconds is not None:
        return seconds
    moment = _date(given)
    return None if moment is None else _until(moment, headers)


def until_reset(headers: Mapping[str, str], text: str) -> float | None:
    """Seconds until a rate limit lets requests through again, by its headers or by its words.

    Of OpenAI's spans (``1s``, ``6m0s``) the longest of those whose limit is used up counts, else
    the longest of all. A bare ``x-ratelimit-reset`` is a span, or Unix time in seconds or
    (OpenRouter) milliseconds.
    """
    spans: dict[str, float] = {}
    for what in ("requests", "tokens"):
        span = _span(headers.get(f"x-ratelimit-reset-{what}", ""))
        if span is not None:
            spans[what] = span
    if spans:
        left = {what: headers.get(f"x-ratelimit-remaining-{what}") for what in spans}
        used_up = [span for what, span in spans.items() if left[what] == "0"]
        return max(used_up or spans.values())
    reset = _seconds(headers.get("x-ratelimit-reset", ""))
    if reset is not None:
        moment = reset / 1000 if reset > 1e11 else reset
        return reset if reset < 1e9 else _until(moment, headers)
    words = _IN_WORDS.search(text)
    return None if words is None else _span(words[1])


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d{1,15}(\.\d{1,9})?\s*", text) else None


def _span(text: str) -> float | None:
    found = _SPAN.findall(text)
    return sum(float(number) * _UNITS[unit] for number, unit in found) if found else None


def _date(text: str) -> float | None:
    """Unix time; a date without a zone is UTC (RFC 9110, section 5.6.7)."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _until(moment: float, headers: Mapping[str, str]) -> float | None:
    now = _date(headers.get("date", ""))
    return None if now is None else max(0.0, moment - now)
