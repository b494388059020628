"""What all providers share knows none of them."""

from __future__ import annotations

import ast
import re

import pytest

from lipstream.upstream.providers import PROVIDERS
from tests.house.source import PACKAGE

SHARED = (
    "client",
    "credentials",
    "http_backend",
    "http_exchange",
    "quirks",
    "rotation",
    "seals",
)
NO_NAMES = {"openai", "anthropic", "gemini"}  # of protocols, which others speak as well
NO_NAMES |= {"together"}  # a word like any other
UPSTREAM = "lipstream.upstream."


def text_of(module: str) -> str:
    """The source of a module."""
    return (PACKAGE / "upstream" / f"{module}.py").read_text(encoding="utf-8")


def imports_of(module: str) -> set[str]:
    """What a module imports, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text_of(module))):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("module", SHARED)
def test_shared_module_imports_of_upstream_only_its_like(module: str) -> None:
    """No table, no provider, nothing that knows one; and no single protocol."""
    modules = {path.stem for path in (PACKAGE / "upstream").glob("*.py")}
    imported = imports_of(module)
    assert {name for name in modules if UPSTREAM + name in imported} <= set(SHARED)
    assert [name for name in imported if name.startswith("lipstream.protocols")] == []


@pytest.mark.parametrize("module", SHARED)
def test_shared_module_names_no_provider(module: str) -> None:
    """A name in its text would be a rule for one of them."""
    words = set(re.findall(r"[a-z]+", text_of(module).lower()))
    assert words & (set(PROVIDERS) - NO_NAMES) == set()
