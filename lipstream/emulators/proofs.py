"""Signatures and encrypted reasoning that an emulator can check when they come back.

A proof binds what a model produced to the model and, where the provider's own one does, to the
text. It is opaque, differs each time, and any other character in it is noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

NONCE = 17
"""With the 64 bytes of the hash a multiple of three: no padding, one spelling of each proof."""

_KEY = b"what a provider keeps to itself"


def prove(*bound: str) -> str:
    """A new proof for what is ``bound``, as unpadded base64."""
    nonce = os.urandom(NONCE)
    return base64.b64encode(nonce + _mac(nonce, bound)).decode()


def is_genuine(proof: str, *bound: str) -> bool:
    """Whether `prove` made it for the same."""
    try:
        raw = base64.b64decode(proof, validate=True)
    except (binascii.Error, ValueError):
        return False
    nonce, mac = raw[:NONCE], raw[NONCE:]
    return hmac.compare_digest(mac, _mac(nonce, bound))


def _mac(nonce: bytes, bound: tuple[str, ...]) -> bytes:
    text = "\0".join(bound).encode("utf-8", "surrogatepass")
    return hmac.digest(_KEY, nonce + b"\0" + text, hashlib.sha512)


def stamp(*bound: str) -> str:
    """A new id of 48 characters that `is_stamped` recognises."""
    nonce = os.urandom(8)
    return (nonce + _mac(nonce, bound)[:16]).hex()


def is_stamped(found: str, *bound: str) -> bool:
    """Whether `stamp` made the id for the same."""
    try:
        raw = bytes.fromhex(found)
    except ValueError:
        return False
    return hmac.compare_digest(raw[8:], _mac(raw[:8], bound)[:16])
