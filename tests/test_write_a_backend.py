"""docs/write-a-backend.md does what it says: a copy of the project is changed as the page tells,
and what the page runs is run there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lipstream.canonical.call import Call
from lipstream.errors import FaultKind
from lipstream.upstream.provider import Provider
from lipstream.upstream.providers import PROVIDERS
from lipstream.upstream.quirks import Quirks
from tests.conformance.matrix import FRONTENDS, cells
from tests.house.source import ROOT

PAGE = (ROOT / "docs" / "write-a-backend.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's code in one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


(ROW,) = blocks("text")  # an entry of a table, which is no code by itself
MODULE, IMPORT = blocks("python")
EMULATE, SERVE, ASK, DRAW, MATRIX = blocks("sh")
(CONFIG,) = blocks("yaml")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the page's files and lines in it."""
    root = tmp_path_factory.mktemp("copy")
    without = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("lipstream", "tests", "docs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=without)
    upstream = root / "lipstream" / "upstream"
    (upstream / "acme.py").write_text(MODULE)
    rows = (upstream / "providers.py").read_text()
    head, first = "\n_HOSTED = (\n", "\nfrom lipstream.upstream"
    assert rows.count(head) == 1
    rows = rows.replace(head, head + ROW).replace(first, f"\n{IMPORT.strip()}{first}", 1)
    (upstream / "providers.py").write_text(rows)
    return root


def started(copy: Path, line: str, **options: Any) -> subprocess.Popen[str]:
    """A command of the page, in the copy."""
    name, *arguments = shlex.split(line)
    if name == "lipstream":
        arguments = ["-c", "from lipstream.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **options,
    )


@contextmanager
def running(copy: Path, line: str, until: str) -> Iterator[str]:
    """A server of the page, and the line in which it says that it listens."""
    with started(copy, line) as process:
        try:
            assert process.stdout is not None
            said = iter(process.stdout.readline, "")
            yield next(line for line in said if until in line)
        finally:
            process.kill()


def finished(copy: Path, line: str) -> str:
    """What a command of the page prints."""
    with started(copy, line) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    return said


def asked(url: str, body: str | None = None) -> Any:
    """What ``curl URL -d BODY`` gets."""
    data = None if body is None else body.encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=20) as response:
        return json.load(response)


def test_provider_of_the_page_answers_through_the_proxy(copy: Path) -> None:
    """Row, quirks, configuration and commands are enough, with free ports for those of the page."""
    with running(copy, EMULATE.replace("8001", "0"), "base_url") as ready:
        port = str(json.loads(ready)["port"])
        (copy / "acme.yaml").write_text(CONFIG.replace("8001", port).replace("8080", "0"))
        with running(copy, SERVE, "listening") as listening:
            _, url, option, body = shlex.split(ASK)
            assert option == "-d"
            address = listening.split()[1].removesuffix("/v1")
            answer = asked(url.replace("http://127.0.0.1:8080", address), body)
        entries = asked(f"http://127.0.0.1:{port}/__ledger")["entries"]
        report = json.loads(finished(copy, "lipstream doctor --json --config acme.yaml"))
    assert answer["choices"][0]["message"]["content"] == "Hello from Acme"
    (posted,) = [entry for entry in entries if entry["method"] == "POST"]
    assert "stream_options" not in posted["body"]
    assert posted["headers"]["x-acme-client"] == "lipstream"
    assert report["ok"]
    assert "lipstream doctor --config acme.yaml" in PAGE


def test_page_of_providers_is_drawn_with_the_provider(copy: Path) -> None:
    """The first command makes it; what is checked is what both commands make."""
    line, *_ = DRAW.splitlines()
    finished(copy, line)
    assert "| `acme` | `https://api.acme.example/v1` |" in (copy / line.split()[-1]).read_text()
    checks = (ROOT / "scripts" / "check").read_text()
    for line in DRAW.splitlines():
        *command, page = line.split()
        assert " ".join([*command, "--check", page]) in checks


def quirks() -> Quirks:
    """Those of the page."""
    names: dict[str, Any] = {}
    exec(compile(MODULE, "acme.py", "exec"), names)
    made = names["QUIRKS"]
    assert isinstance(made, Quirks)
    return made


def test_quirks_do_what_the_page_says() -> None:
    """A field is left out, a header is sent, a status is understood, any other is not."""
    made, call = quirks(), Call(dialect="x", model="m", messages=())
    assert made.patch_body is not None
    assert made.headers is not None
    assert made.read_error is not None
    assert made.patch_body({"a": 1, "stream_options": {}}, call, "m") == {"a": 1}
    assert made.headers(call) == [("x-acme-client", "lipstream")]
    fault = made.read_error(418, {}, b"")
    assert fault is not None
    assert fault.kind is FaultKind.CREDENTIALS
    assert made.read_error(500, {}, b"") is None


def test_matrix_has_a_column_for_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row alone makes it: each client is played against it, by the name the page selects."""
    names = {"Provider": Provider, "acme": type("acme", (), {"QUIRKS": quirks()})}
    row: Provider = eval(ROW.strip().removesuffix(","), names)
    monkeypatch.setitem(PROVIDERS, row.kind, row)
    column = list(cells(kinds=[row.kind]))
    assert {cell.frontend for cell in column if cell.is_played} == set(FRONTENDS)
    word = MATRIX.split()[-1]
    assert all(word in str(cell) for cell in column)
