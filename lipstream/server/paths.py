"""Paths as clients write them.

They are taken as they are meant: a trailing slash, doubled slashes and a doubled version (a base
URL that ends in one, in a client that adds one) reach the same endpoint, without a redirect, which
a POST would not survive.

Gemini names the model and what is to be done with it in the path. A model may be a selector with
slashes and colons of its own; the action stands after the last colon.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SLASHES = re.compile("/{2,}")
_VERSION = "/v1(?:beta1?|alpha)?"
_DOUBLED_VERSION = re.compile(f"^(?:{_VERSION})+(?={_VERSION}/)")
_ACTION = re.compile(
    _VERSION
    + r"(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/[^/]+)?"
    + r"/(?P<model>(?:models|tunedModels)/.+):(?P<action>[A-Za-z]+)",
    re.DOTALL,
)


def usual_path(path: str) -> str:
    """The path that a client meant: see the module's text."""
    if not path.startswith("/"):  # the absolute form, as a client of a forward proxy sends it
        path = urlsplit(path).path or "/"
    path = _SLASHES.sub("/", path)
    return _DOUBLED_VERSION.sub("", path).rstrip("/") or "/"


def model_and_action(path: str) -> tuple[str, str]:
    """What a path in Gemini's manner names; two empty strings for any other path."""
    found = _ACTION.fullmatch(path)
    if found is None:
        return "", ""
    return found["model"].removeprefix("models/"), found["action"]
