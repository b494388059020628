"""AWS Signature Version 4, as a service checks it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The
emulator knows the secret of one account, :data:`ACCESS_KEY`; of others it checks all but the
signature itself. Computed here on its own: an emulator that shared the proxy's code would share its
mistakes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import attrs

from lipstream.emulators.http import Request

ACCESS_KEY = "AKIDEMULATED"
SECRET_KEY = "the secret of the emulated account"
MAX_SKEW = 300.0
"""Seconds that the clocks may differ."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_FORM = re.compile(
    _ALGORITHM + r"\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)


@attrs.frozen
class Signature:
    """What an ``Authorization`` header says."""

    key_id: str
    scope: tuple[str, ...]
    signed: tuple[str, ...]
    value: str


def signature_of(request: Request) -> Signature | None:
    """The signature of a request, or None where it has none in the right form."""
    found = _FORM.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return None
    key_id, *scope = found[1].split("/")
    return Signature(key_id, tuple(scope), tuple(found[2].split(";")), found[3])


def is_signed(request: Request) -> bool:
    """Whether the request means to be signed."""
    return request.headers.get("authorization", "").startswith("AWS4-")


def fault_of(request: Request, service: str) -> str | None:
    """Why the service does not accept a signed request, or None."""
    found = signature_of(request)
    if found is None:
        return "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature'."
    date = request.headers.get("x-amz-date", "")
    if len(found.scope) != 4 or found.scope[2:] != (service, "aws4_request"):
        return f"Credential should be scoped to correct service: '{service}'."
    if not date.startswith(found.scope[0]) or not _is_now(date):
        return "Signature expired or not yet current."
    if "host" not in found.signed or "x-amz-date" not in found.signed:
        return "'Host' or 'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."
    if found.key_id == ACCESS_KEY and not hmac.compare_digest(
        _expected(request, found), found.value
    ):
        return (
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method. Consult the service documentation for "
            "details."
        )
    return None


def _is_now(date: str) -> bool:
    try:
        moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs((datetime.now(UTC) - moment).total_seconds()) <= MAX_SKEW


def _expected(request: Request, found: Signature) -> str:
    key = b"AWS4" + SECRET_KEY.encode()
    for step in found.scope:
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    digest = hashlib.sha256(_canonical(request, found).encode("latin-1")).hexdigest()
    lines = (_ALGORITHM, request.headers["x-amz-date"], "/".join(found.scope), digest)
    return hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256).hex()


def _canonical(request: Request, found: Signature) -> str:
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True))
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs
    )
    headers = (f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in found.signed)
    return "\n".join(
        (
            request.method,
            quote(request.path, safe="/-_.~"),
            query,
            *headers,
            "",
            ";".join(found.signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
