"""The project's own text, as the house tests see it. No rules here."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lipstream"
SKIPPED = ("build", "dist", "__pycache__", "htmlcov")
SHOWN = (".ci", ".gitignore")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def text_files() -> Iterator[Path]:
    """Yields every file of the project that a person wrote."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if is_ours(name)]
        yield from (Path(folder) / name for name in files if is_ours(name))


def is_ours(name: str) -> bool:
    hidden = name.startswith(".") and name not in SHOWN
    return not hidden and name not in SKIPPED and not name.endswith((".pyc", ".egg-info"))


def modules(folder: Path) -> dict[str, ast.Module]:
    """Parses every module under a folder; the keys are paths from the root."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


def functions(folder: Path) -> dict[str, Function]:
    """Finds every function and method under a folder; the keys are `path:line name`."""
    return {
        f"{path}:{node.lineno} {node.name}": node
        for path, module in modules(folder).items()
        for node in ast.walk(module)
        if isinstance(node, Function)
    }


def length(node: Function) -> int:
    """Counts the lines from `def` to the end, the docstring among them."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split("\n")) - 1
