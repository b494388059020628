"""The scripts a newcomer starts with, run with a stand-in for Python that only keeps a ledger."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.source import ROOT

# Answers the questions that scripts/venv.sh asks; `$OLD`, `$BARE` and `$OFFLINE` make it refuse.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
*version_info*) [ -z "${OLD:-}" ] ;;
*ensurepip*) [ -z "${BARE:-}" ] ;;
'-m venv '*)
    for folder; do :; done
    rm -rf "$folder" && mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python"
    printf '#!/bin/sh\\necho "$@"\\n' >"$folder/bin/lipstream"
    chmod +x "$folder/bin/lipstream"
    echo venv >>"$LEDGER" ;;
'-m pip '*) echo "$*" >>"$LEDGER"; [ -z "${OFFLINE:-}" ] ;;
*--version*) echo 'Python 3.11.0' ;;
esac
"""


class Machine:
    """A fresh machine: a copy of the scripts, and a PATH with the stand-in on it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "a project"
        self.ledger = folder / "ledger"
        self.path = folder / "bin"
        shutil.copytree(ROOT / "scripts", self.project / "scripts")
        shutil.copy(ROOT / "pyproject.toml", self.project)
        self.path.mkdir()
        for tool in ("sh", "dirname", "cksum", "cat", "cp", "mkdir", "rm", "chmod"):
            (self.path / tool).symlink_to(shutil.which(tool) or tool)
        self.install_python()

    def install_python(self) -> None:
        python = self.path / "python3"
        python.write_text(FAKE_PYTHON)
        python.chmod(0o755)

    def serve(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.project / "scripts" / "serve", *arguments],
            env={"PATH": str(self.path), "LEDGER": str(self.ledger), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self) -> list[str]:
        """Tells what the stand-in was made to do, by first words."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [line.split()[0 if line == "venv" else 1] for line in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_first_start_installs_and_passes_arguments_on(machine: Machine) -> None:
    """One command is enough, wherever the project lies."""
    assert machine.serve("--port", "0").stdout == "serve --port 0\n"
    assert machine.done() == ["venv", "pip"]


def test_second_start_installs_nothing(machine: Machine) -> None:
    """A start costs what the program costs."""
    machine.serve()
    assert machine.serve().stderr == ""
    assert machine.done() == ["venv", "pip"]


def test_changed_pyproject_is_installed_again(machine: Machine) -> None:
    """New requirements arrive without anybody thinking of them."""
    machine.serve()
    with (machine.project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    machine.serve()
    assert machine.done() == ["venv", "pip", "pip"]


def test_moved_project_makes_a_new_environment(machine: Machine) -> None:
    """A virtual environment holds absolute paths, so it does not survive a move."""
    machine.serve()
    machine.project = machine.project.rename(machine.project.with_name("elsewhere"))
    assert machine.serve().returncode == 0
    assert machine.done() == ["venv", "pip", "venv", "pip"]


def test_old_python_is_refused_with_the_needed_version(machine: Machine) -> None:
    """Who has only an old Python learns which one is needed."""
    result = machine.serve(OLD="1")
    assert result.returncode == 1
    assert "needs Python 3.11 or newer" in result.stderr


def test_missing_python_is_refused_with_the_needed_version(machine: Machine) -> None:
    """No Python at all reads the same as an old one."""
    (machine.path / "python3").unlink()
    result = machine.serve()
    assert result.returncode == 1
    assert "needs Python 3.11 or newer" in result.stderr


def test_missing_venv_module_names_the_package(machine: Machine) -> None:
    """Debian ships Python without its venv module; the message says what to install."""
    result = machine.serve(BARE="1")
    assert result.returncode == 1
    assert "apt install python3-venv" in result.stderr


def test_failed_installation_is_tried_again(machine: Machine) -> None:
    """A start without a network leaves nothing behind that looks installed."""
    assert machine.serve(OFFLINE="1").returncode == 1
    assert machine.serve().returncode == 0
    assert machine.done() == ["venv", "pip", "pip"]


@pytest.mark.parametrize("name", ["serve", "test", "check", "bench"])
def test_script_can_be_executed(name: str) -> None:
    """The commands of README.md work as they are written there."""
    assert os.access(ROOT / "scripts" / name, os.X_OK)
