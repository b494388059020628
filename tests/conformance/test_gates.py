"""The matrix is whole: what lipstream serves and what it can be configured with is all in it."""

from __future__ import annotations

from collections import Counter

import pytest

from lipstream.canonical.losses import NOTIONS
from lipstream.compose import DIALECTS
from lipstream.upstream.providers import PROVIDERS
from tests.conformance.limits import LIMITS, UNPLAYED, Limit
from tests.conformance.matrix import FRONTENDS, KINDS, SCENARIOS, cells, served
from tests.conformance.protocols import BASE_PATHS, DRIVERS, MODELS
from tests.conformance.scenarios.options import OPTIONS

CELLS = list(cells())

ELSEWHERE = {
    "reasoning_summary": "reasoning_shown",
    "choices": "one answer is asked for: n > 1 belongs to each codec's own tests",
    "service_tier": "each provider has names of its own: each codec's own tests",
    "tools": "tools",
    "custom_tools": "only OpenAI has them: each codec's own tests",
    "strict_tools": "each codec's own tests",
    "tool_choice": "choice_any",
    "allowed_tools": "choice_allowed",
    "image": "image_100k",
    "remote_image": "image_link",
    "image_detail": "only OpenAI has it: each codec's own tests",
    "file": "pdf",
    "audio": "audio",
    "message_name": "only OpenAI's chat has it: each codec's own tests",
    "tool_history": "foreign_history",
    "tool_error": "tool_error",
    "tool_media": "tool_loop_image",
}
"""Notions that are no option, and the scenario that holds them to their word."""


def test_every_protocol_that_is_served_has_a_driver() -> None:
    """A new way in is a new row of cells, or it is not tested."""
    assert served() <= set(DRIVERS)
    assert served() == set(FRONTENDS)


def test_every_kind_of_backend_is_a_column() -> None:
    """A new row of providers is a new column."""
    assert set(PROVIDERS) == set(KINDS) | set(UNPLAYED)
    assert {PROVIDERS[kind].dialect for kind in KINDS} <= set(DIALECTS)


@pytest.mark.parametrize("table", [BASE_PATHS, MODELS], ids=["paths", "models"])
def test_every_dialect_is_known_to_the_rig(table: dict[str, object]) -> None:
    """What a backend of a dialect is asked for, and where."""
    assert set(DIALECTS) <= set(table)


def test_every_pair_is_in_the_matrix() -> None:
    """The product of clients and providers, none left out."""
    pairs = {(cell.frontend, cell.kind) for cell in CELLS if cell.is_played}
    assert {(frontend, kind) for frontend in FRONTENDS for kind in KINDS} == pairs


def test_every_scenario_has_a_name_and_a_rule_of_its_own() -> None:
    """A test's id says which one failed."""
    counted = Counter(scenario.name for scenario in SCENARIOS)
    assert [] == [name for name, count in counted.items() if count > 1]
    assert [] == [scenario.name for scenario in SCENARIOS if not scenario.rule.endswith((".", ","))]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: f"{limit.scenario}-{limit.how.name}")
def test_no_limit_is_idle(limit: Limit) -> None:
    """A reason that no cell needs any more is a lie."""
    held = [
        cell for cell in CELLS if limit.holds_for(cell.scenario.name, cell.frontend, cell.backend)
    ]
    assert held != []
    assert limit.why.endswith(".")


def test_every_notion_is_tried_somewhere() -> None:
    """What protocols may say in common is said in the matrix, or it is written down where else."""
    tried = {option.notion for option in OPTIONS.values()} | set(ELSEWHERE)
    assert set(NOTIONS) == tried
