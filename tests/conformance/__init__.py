"""The conformance matrix: every client with every provider, driven by the official SDKs."""

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.scenarios", "tests.conformance.stage", "tests.conformance.matrix"
)
