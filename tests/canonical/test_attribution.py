"""The headers with which an application names itself."""

from __future__ import annotations

import pytest

from lipstream.canonical.attribution import LONGEST, NAMES, attribution_in


def test_headers_are_taken_in_one_order_and_no_others() -> None:
    """Names come in lower case."""
    sent = dict.fromkeys([*reversed(NAMES), "authorization", "referer"], "x")
    assert attribution_in(sent) == tuple((name, "x") for name in NAMES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  An App ", "An App"),
        ("   ", None),
        ("x" * LONGEST, "x" * LONGEST),
        ("x" * (LONGEST + 1), None),
        ("Zürich".encode().decode("latin-1"), "Zürich"),
        ("Zürich", "Zürich"),  # one byte for each letter, as it was once
    ],
)
def test_value_is_read_as_it_was_meant(value: str, expected: str | None) -> None:
    """Blank and endless ones say nothing."""
    assert dict(attribution_in({"x-title": value})).get("x-title") == expected
