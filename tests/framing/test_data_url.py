"""Data URLs: what is inline, and of which type."""

from __future__ import annotations

import pytest

from lipstream.framing.data_url import sniffed, split_data_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("data:Text/Plain;charset=utf-8;Base64,QUJD", ("text/plain", "QUJD")),
        ("data:text/plain,A%42C", ("text/plain", "QUJD")),
        ("data:,ABC", ("", "QUJD")),
        ("data:;base64,/9j/4A", ("image/jpeg", "/9j/4A")),
        ("data:;base64,iVBORw0KGgoAAA", ("image/png", "iVBORw0KGgoAAA")),
        ("data:", ("", "")),
    ],
)
def test_url_is_taken_apart(url: str, expected: tuple[str, str]) -> None:
    """Into its type, without parameters, and base64; an untold type shows itself."""
    assert split_data_url(url) == expected


@pytest.mark.parametrize(
    ("data", "mime"),
    [("R0lGODlh", "image/gif"), ("UklGRg", "image/webp"), ("JVBERi0", "application/pdf"), ("", "")],
)
def test_type_is_known_by_the_first_bytes(data: str, mime: str) -> None:
    """Of the usual kinds."""
    assert sniffed(data) == mime
