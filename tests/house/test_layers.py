"""What the import contracts of pyproject.toml cannot see: what really gets loaded and called."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, modules

SANS_IO = ("canonical", "framing", "lifecycle", "protocols", "routing")
# `socket` is not here: the standard library loads it for harmless things, such as dates of HTTP.
# The contracts see to it that the pure packages do not import it themselves.
IO_LIBRARIES = {"trio", "httpx", "quart", "quart_trio", "hypercorn", "asyncio"}
NOT_AT_RUN_TIME = {"openai", "anthropic", "google.genai", "pydantic", "matplotlib", "pytest"}
WIRE = ("framing", "protocols", "upstream", "server")


def module_names(folder: Path) -> list[str]:
    """Lists the dotted names of the modules under a folder."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def loaded_by(names: Iterable[str]) -> set[str]:
    """Imports modules in a fresh interpreter and tells everything that got loaded."""
    code = f"import sys, {', '.join(names)}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("folder", SANS_IO)
def test_sans_io_package_loads_no_io_library(folder: str) -> None:
    """The pure packages do not touch a socket or a scheduler, nor does what they import."""
    assert loaded_by(module_names(PACKAGE / folder)) & IO_LIBRARIES == set()


def test_command_line_loads_no_vendor_library() -> None:
    """Vendors' clients are for the tests; heavy libraries are loaded when used."""
    assert loaded_by(["lipstream.cli"]) & NOT_AT_RUN_TIME == set()


@pytest.mark.parametrize("folder", WIRE)
def test_wire_code_never_splits_lines_by_unicode(folder: str) -> None:
    """`str.splitlines` also splits at U+2028 and friends, which are data inside an event."""
    calls = {
        f"{path}:{node.lineno}"
        for path, module in modules(PACKAGE / folder).items()
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and node.attr == "splitlines"
    }
    assert calls == set()


def test_contract_names_every_protocol() -> None:
    """A folder that is not listed could import another protocol unseen."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    listed = {name for row in contracts if row["id"] == "protocols" for name in row["modules"]}
    folders = (PACKAGE / "protocols").glob("*/__init__.py")
    assert {f"lipstream.protocols.{path.parent.name}" for path in folders} == listed


def test_only_the_common_decoder_stands_beside_the_protocols() -> None:
    """What several protocols need lies in a lower layer, where that is possible."""
    names = {path.stem for path in (PACKAGE / "protocols").glob("*.py")}
    assert names == {"__init__", "answer_decoder"}
