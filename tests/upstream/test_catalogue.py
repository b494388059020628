"""The page of providers, and that a row is all that a provider takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lipstream.cli import main
from lipstream.compose import build
from lipstream.config.load import load_config
from lipstream.upstream import catalogue
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.provider import Provider
from lipstream.upstream.providers import KINDS, PROVIDERS, kinds_of
from tests.house.source import ROOT

ACME = Provider(
    kind="acme",
    base_url="https://acme.example/v1",
    key_variable="ACME_API_KEY",
    default_model="acme-small",
    billing_source="nobody says",
)


def test_page_of_the_documentation_is_fresh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that was changed is drawn anew; a stale page is told, and left alone."""
    assert catalogue.main(["--check", str(ROOT / "docs" / "providers.md")]) == 0
    page = tmp_path / "page.md"
    page.write_text("old")
    assert catalogue.main(["--check", str(page)]) == 1
    assert "run python -m lipstream.upstream.catalogue" in capsys.readouterr().err
    assert page.read_text() == "old"
    assert catalogue.main([str(page)]) == 0
    assert catalogue.main(["--check", str(page)]) == 0


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """One more row."""
    monkeypatch.setitem(PROVIDERS, ACME.kind, ACME)
    monkeypatch.setitem(KINDS, ACME.kind, kinds_of(PROVIDERS)[ACME.kind])
    return ACME


def test_one_row_is_enough_for_a_backend(acme: Provider) -> None:
    """It can be configured by its name alone, and takes its keys from its variables."""
    config = load_config("backends: {acme: }", kinds=KINDS, environment={})
    runtime = build(config, {"ACME_API_KEY": "k", "ACME_API_KEY_2": "l"})
    backend = runtime.backends["acme"]
    assert isinstance(backend, HttpBackend)
    assert backend.base_url == acme.base_url
    assert backend.pool is not None
    assert len(backend.pool) == 2


def test_one_row_is_enough_to_be_found_by_its_key(acme: Provider) -> None:
    """Without any configuration a key in the environment makes a backend."""
    runtime = build(load_config("", kinds=KINDS, environment={}), {"ACME_API_KEY": "k"})
    assert "acme" in runtime.backends
    assert "acme-small" in runtime.backends["acme"].models


def test_one_row_is_enough_for_every_list(
    acme: Provider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line and the documentation show it."""
    monkeypatch.setenv("ACME_API_KEY", "k")
    for command in (["routes"], ["config", "show"]):
        with pytest.raises(SystemExit) as caught:
            main(command)
        assert caught.value.code == 0
        assert "acme" in capsys.readouterr().out
    assert "`acme`" in catalogue.render()


def test_shown_configuration_has_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of keys only how many there are, and their names."""
    sets = "backends.openai.credentials=[{id: team-a, api_key: sk-one}, {api_key: sk-two}]"
    with pytest.raises(SystemExit):
        main(["config", "show", "--set", sets])
    shown = capsys.readouterr().out
    credentials = yaml.safe_load(shown)["backends"]["openai"]["credentials"]
    assert [credential["id"] for credential in credentials] == ["team-a", "c1"]
    assert "sk-" not in shown
