"""Sizes and names. What is over its budget is split: there is no list of exceptions."""

import ast
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, functions, length, line_count, modules

FILE_LINES = 400
FUNCTION_LINES = 60
SHORT_FUNCTION_LINES = 30
SHORT_FUNCTION_SHARE = 0.9
CONSTRUCTOR_ARGUMENTS = 6
TEST_LINES = 40

# The walk that docs/design.md proposes to a newcomer, and what it may cost.
CORE_LINES = 2200
CORE = (
    "errors.py",
    "canonical/call.py",
    "canonical/events.py",
    "lifecycle/machine.py",
    "lifecycle/attempt.py",
    "lifecycle/exchange.py",
    "lifecycle/grammar.py",
    "routing/planner.py",
    "interfaces.py",
    "execution/executor.py",
    "execution/race.py",
    "execution/attempt.py",
    "server/endpoint.py",
    "server/errors.py",
)
FILE_BUDGETS = {"lipstream/errors.py": 220, "lipstream/interfaces.py": 180}

VAGUE_FOLDERS = {"utils", "common", "core", "helpers", "services"}
VAGUE_ENDINGS = ("Manager", "Helper", "Util", "Utils", "Data", "Info", "Impl")


def over(measured: dict[str, int], budget: int) -> dict[str, int]:
    return {name: size for name, size in measured.items() if size > FILE_BUDGETS.get(name, budget)}


def file_sizes() -> dict[str, int]:
    return {path.relative_to(ROOT).as_posix(): line_count(path) for path in PACKAGE.rglob("*.py")}


def function_sizes(folder: Path) -> dict[str, int]:
    return {name: length(node) for name, node in functions(folder).items()}


def test_every_file_fits_its_budget() -> None:
    """A file that does not fit on a few screens is two files."""
    assert over(file_sizes(), FILE_LINES) == {}


def test_every_function_fits_its_budget() -> None:
    """A function does one thing."""
    assert over(function_sizes(PACKAGE), FUNCTION_LINES) == {}


def test_nine_of_ten_functions_are_short() -> None:
    """The rare long function is a table or a loop that reads better in one piece."""
    sizes = function_sizes(PACKAGE)
    long = {name: size for name, size in sizes.items() if size > SHORT_FUNCTION_LINES}
    assert len(long) <= (1 - SHORT_FUNCTION_SHARE) * len(sizes), long


def test_every_test_fits_its_budget() -> None:
    """A test shows one rule."""
    sizes = function_sizes(ROOT / "tests")
    tests = {name: size for name, size in sizes.items() if " test_" in name}
    assert over(tests, TEST_LINES) == {}


def test_constructors_take_few_arguments() -> None:
    """Who needs more than six things to exist has more than one job; pure data is excepted."""
    arguments = {
        name: len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs) - 1
        for name, node in functions(PACKAGE).items()
        if node.name == "__init__"
    }
    assert over(arguments, CONSTRUCTOR_ARGUMENTS) == {}


def test_the_core_walk_fits_an_afternoon() -> None:
    """Reading the starred files of docs/design.md is enough to know how it works."""
    sizes = {name: line_count(PACKAGE / name) for name in CORE}
    assert sum(sizes.values()) <= CORE_LINES, sizes


def test_no_folder_or_module_has_a_vague_name() -> None:
    """A name like `utils` says nothing of what is inside, so anything ends up there."""
    names = {path.relative_to(ROOT).as_posix(): path.stem for path in PACKAGE.rglob("*")}
    assert {path for path, name in names.items() if name in VAGUE_FOLDERS} == set()


def test_no_class_has_a_vague_name() -> None:
    """A class is named after what it is."""
    vague = {
        f"{path}:{node.lineno} {node.name}"
        for path, module in modules(PACKAGE).items()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_ENDINGS)
    }
    assert vague == set()
