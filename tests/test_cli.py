"""The command line: options, exit codes, and what is printed."""

import contextlib
import json
import logging
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

import lipstream
from lipstream.cli import banner, main, show
from lipstream.compose import resolve
from lipstream.config.env import SHORT_NAMES
from lipstream.config.load import load_config
from lipstream.upstream.providers import KINDS

STYLE = re.compile(r"\x1b\[[0-9;]*m")
KEY = "sk-do-not-show"
STUB = "backends: {s: {kind: stub, models: [m1], text: hello there, pace: 0}}\n"


def run(*arguments: str, **environment: str) -> Result:
    """Runs a command in this process, in an environment without lipstream's own variables."""
    ours = [name for name in os.environ if name.startswith("LIPSTREAM_") or "API_KEY" in name]
    return CliRunner(env=dict.fromkeys(ours) | environment).invoke(main, arguments)


def routes(*arguments: str, **environment: str) -> dict[str, Any]:
    """What ``lipstream routes`` prints."""
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    plain: dict[str, Any] = json.loads(result.stdout)
    return plain


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A configuration file with one stub."""
    path = tmp_path / "x.yaml"
    path.write_text(STUB)
    return str(path)


# ---------------------------------------------------------------- asking


def test_version_is_printed() -> None:
    """One word and the number."""
    result = run("--version")
    assert (result.stdout, result.exit_code) == (f"lipstream {lipstream.__version__}\n", 0)


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_the_commands(arguments: list[str]) -> None:
    """Also where nothing was asked."""
    result = run(*arguments)
    assert result.exit_code == 0
    assert {"serve", "demo", "check-config", "routes"} <= set(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sevre"], "lipstream: No such command 'sevre'"),
        (["serve", "--prot", "1"], "lipstream: No such option '--prot'"),
        (["serve", "--port", "x"], "lipstream: Invalid value for '--port'"),
        (["serve", "extra"], "lipstream: Got unexpected extra argument (extra)"),
        (["serve", "--set", "x"], "lipstream: --set x: expected KEY=VALUE"),
        (["serve", "--set", "a..b=1"], "lipstream: --set a..b=1: expected KEY=VALUE"),
        (["serve", "--set", "a.b=1"], "lipstream: --set: a: unknown key"),
        (["serve", "--config", "/no/such"], "lipstream: cannot read /no/such: No such file"),
        (["serve", "--default-route", "x:y"], "lipstream: --default-route: routing.default_route:"),
        (["check-config", "--set", "backends={}"], "lipstream: --set: backends: there is none"),
        (["routes", "--upstream", "h"], "lipstream: --upstream: backends.upstream.base_url:"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    """On standard error, with nothing on standard output."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A picture is no configuration."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe")
    result = run("check-config", "--config", str(path))
    assert (result.exit_code, result.stderr) == (
        2,
        f"lipstream: cannot read {path}: it is not UTF-8\n",
    )


# ---------------------------------------------------------------- what a configuration comes to


def test_check_config_says_that_all_is_well(file: str) -> None:
    """In the words that scripts look for."""
    result = run("check-config", "--config", file)
    assert (result.stdout, result.exit_code) == ("configuration is valid\n", 0)


def test_check_config_warns_of_missing_keys() -> None:
    """That is no mistake, but worth knowing."""
    result = run("check-config", "--set", "backends.openai.models=[a]")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: openai has no key")


def test_routes_are_json(file: str) -> None:
    """What there is and where requests go."""
    assert routes(
        "routes", "--config", file, "--set", "aliases=[{pattern: a, replacement: b}]"
    ) == {
        "effective_default_route": "s:*",
        "backends": [{"id": "s", "kind": "stub", "enabled": True}],
        "model_aliases": [{"pattern": "a", "replacement": "b"}],
        "credential_posture": "all_local_stub",
    }


@pytest.mark.parametrize("is_before", [True, False])
def test_options_stand_before_or_after_the_command(is_before: bool, file: str) -> None:
    """Wherever they are written they mean the same."""
    options = ["--config", file, "--default-route", "s:x"]
    arguments = [*options, "routes"] if is_before else ["routes", *options]
    assert routes(*arguments)["effective_default_route"] == "s:x"


def test_option_after_the_command_wins() -> None:
    """The later one counts; options that may be repeated add up."""
    plain = routes(
        "--default-route",
        "a:x",
        "--set",
        "backends.a.kind=stub",
        "routes",
        "--default-route",
        "b:x",
        "--set",
        "backends.b.kind=stub",
    )
    assert plain["effective_default_route"] == "b:x"
    assert [row["id"] for row in plain["backends"]] == ["a", "b"]


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """In this order."""
    path = tmp_path / "x.yaml"
    path.write_text(STUB + "routing: {default_route: s:file}")
    environment = {"LIPSTREAM_CONFIG": str(path)}
    assert routes("routes", **environment)["effective_default_route"] == "s:file"
    environment["LIPSTREAM_DEFAULT_ROUTE"] = "s:environment"
    assert routes("routes", **environment)["effective_default_route"] == "s:environment"
    plain = routes("routes", "--default-route", "s:flag", **environment)
    assert plain["effective_default_route"] == "s:flag"


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--upstream", "http://h:1", "--upstream", "http://h:2/v2/"], {}),
        ([], {"LIPSTREAM_UPSTREAM": "http://h:1/ http://h:2/v2"}),
        (
            ["--upstream", "http://h:1", "--upstream", "http://h:2/v2"],
            {"LIPSTREAM_UPSTREAM": "http://other"},
        ),
    ],
)
def test_upstreams_get_every_model_in_turn(
    arguments: list[str], environment: dict[str, str]
) -> None:
    """A proxy in front of servers, from one line."""
    result = run("config", "show", *arguments, **environment)
    plain = yaml.safe_load(result.stdout)
    urls = [entry["base_url"] for entry in plain["backends"].values()]
    assert urls == ["http://h:1/v1", "http://h:2/v2"]
    assert plain["routing"]["default_route"] == "upstream:*|upstream-2:*"


@pytest.mark.parametrize(("name", "path"), SHORT_NAMES.items())
def test_short_names_of_the_environment_work(name: str, path: str) -> None:
    """Each leads to its setting."""
    values = {"LIPSTREAM_PORT": "1234", "LIPSTREAM_DEFAULT_ROUTE": "stub-fast:x"}
    value = values.get(name, "debug" if name.endswith("LOG") else "h")
    plain = yaml.safe_load(run("config", "show", **{name: value}).stdout)
    section, _, key = path.partition(".")
    assert str(plain[section][key]) == value


def test_verbose_is_level_debug() -> None:
    """Before or after the command."""
    for arguments in (["-v", "config", "show"], ["config", "show", "-v"]):
        assert yaml.safe_load(run(*arguments).stdout)["logging"]["level"] == "debug"


def test_shown_configuration_has_no_secret() -> None:
    """Neither from the environment nor from the file."""
    result = run(
        "config", "show", "--set", "backends.openai.headers={Authorization: x}", OPENAI_API_KEY=KEY
    )
    assert KEY not in result.output
    openai = yaml.safe_load(result.stdout)["backends"]["openai"]
    assert openai["api_key"] == "[secret]"
    assert openai["headers"] == {"Authorization": "[secret]"}


# ---------------------------------------------------------------- serving


@contextmanager
def serving(
    *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A proxy in a process of its own, and what it said until it listened."""
    clean = {name: text for name, text in os.environ.items() if "API_KEY" not in name}
    process = subprocess.Popen(
        [sys.executable, "-c", "from lipstream.cli import main; main()", "serve", *arguments],
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        while not (said and said[-1].startswith("try ")):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            said.append(line.rstrip("\n"))
        yield process, said
    finally:
        process.kill()
        process.communicate()


def paste(line: str) -> dict[str, object]:
    """What the curl line of the banner gets, without its stream."""
    found = re.fullmatch(r"try +curl -N (\S+) -H 'Content-Type: (\S+)' -d '(.*)'", line)
    assert found is not None
    body = json.dumps(json.loads(found[3]) | {"stream": False}).encode()
    request = urllib.request.Request(found[1], body, {"Content-Type": found[2]})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def test_serve_says_what_it_serves_and_the_curl_line_works(file: str) -> None:
    """Plain lines, at once, where standard output is no terminal; a signal ends it cleanly."""
    with serving("--config", file, "--port", "0", OPENAI_API_KEY=KEY) as (process, said):
        assert said[0] == f"lipstream  {lipstream.__version__}"
        assert re.fullmatch(r"listening  http://127\.0\.0\.1:\d+/v1", said[1])
        assert said[2:4] == ["backend    s: stub", "default    s:*"]
        answer = paste(said[-1])
        assert "hello there" in json.dumps(answer)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
        assert process.returncode == 0
        assert " exchange id=" in log
        assert "model=m1 route=s:m1 status=200 winner=s:m1 attempts=1" in log
        assert "Traceback" not in log


# Hypercorn leaves the socket that it could not bind to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_taken_port_is_one_line_and_exit_code_1(file: str) -> None:
    """It ran, and failed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--config", file, "--port", str(port))
    assert result.exit_code == 1
    expected = f"lipstream: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert result.stderr == expected


def rows_of(config: str, *addresses: str, **environment: str) -> list[tuple[str, str]]:
    """The banner of a configuration."""
    loaded = load_config(config, kinds=KINDS, environment={})
    return banner(resolve(loaded, environment), addresses or ("http://127.0.0.1:8080",))


def texts(rows: list[tuple[str, str]], label: str) -> list[str]:
    """The lines with one label."""
    return [text for name, text in rows if name == label]


def test_banner_tells_of_keys_and_never_shows_them() -> None:
    """Which backend has one is what an operator needs to see."""
    up = "{kind: openai-compatible, base_url: http://h/v1}"
    both = f"openai: {{api_key: {KEY}}}, groq: {{api_keys: [a, b]}}"
    rows = rows_of(f"backends: {{{both}, up: {up}}}")
    assert texts(rows, "backend") == [
        "openai: https://api.openai.com/v1, with a key",
        "groq: https://api.groq.com/openai/v1, with 2 keys",
        "up: openai-compatible, http://h/v1, without a key",
    ]
    assert KEY not in str(rows)


def test_banner_tells_how_to_reach_providers_that_were_found() -> None:
    """The default route is still the stubs'."""
    assert texts(rows_of("", OPENAI_API_KEY=KEY), "model") == ['"openai:gpt-4o-mini" asks openai']


def test_banner_warns_of_an_open_door() -> None:
    """Who listens on every address has no lock on the door."""
    rows = rows_of(STUB + "server: {host: 0.0.0.0}", "http://0.0.0.0:8080")
    (warning,) = texts(rows, "warning")
    assert warning == "whoever can reach 0.0.0.0:8080 can use these backends"
    assert "curl -N http://127.0.0.1:8080/v1/" in texts(rows, "try")[0]


def test_banner_writes_ipv6_in_brackets() -> None:
    """As a URL needs it."""
    rows = rows_of(STUB + "server: {host: '::1'}", "http://[::1]:8080")
    assert texts(rows, "try")[0].startswith("curl -N http://[::1]:8080/v1/")
    assert texts(rows, "warning") == []


@pytest.mark.parametrize("is_verbose", [False, True])
def test_serve_in_this_process_ends_on_a_signal(
    is_verbose: bool, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first signal drains; with nothing in flight that is the end."""
    shown: list[tuple[str, str]] = []

    def show(rows: list[tuple[str, str]]) -> None:
        shown.extend(rows)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("lipstream.cli.show", show)
    with kept_logging():
        result = run("serve", "--config", file, "--port", "0", *["-v"] * is_verbose)
    assert result.exit_code == 0
    assert dict(shown)["default"] == "s:*"
    assert "SIGTERM received" in result.stderr


@contextmanager
def kept_logging() -> Iterator[None]:
    """Leaves the process's logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("lipstream")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.mark.parametrize("is_terminal", [False, True])
def test_rows_are_printed_whole(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is folded, so that every line can be copied."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    show([("lipstream", "1"), ("warning", "w " * 60), ("try", "curl [x]")])
    lines = STYLE.sub("", capsys.readouterr().out).split("\n")
    assert [line.rstrip() for line in lines] == [
        "lipstream  1",
        "warning    " + ("w " * 60).rstrip(),
        "try        curl [x]",
        "",
    ]


def test_closed_output_does_not_end_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the first lines and leaves wants it to run."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        show([("lipstream", "1")])
        monkeypatch.undo()
        with contextlib.suppress(BrokenPipeError):
            closed.close()


def test_refused_configuration_ends_serve_with_exit_code_2() -> None:
    """Also what is found only when everything is put together."""
    result = run("serve", "--set", "backends={}")
    assert (result.exit_code, result.stderr) == (
        2,
        "lipstream: --set: backends: there is none: name one, or leave the section out\n",
    )


def test_group_can_be_called_from_python() -> None:
    """Then its errors are exceptions, as click's are."""
    with pytest.raises(click.UsageError):
        main(["sevre"], standalone_mode=False)


@pytest.mark.parametrize(("is_true", "code"), [(True, 0), (False, 1)])
def test_demo_ends_with_what_it_found(
    is_true: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that does not hold is a failure."""
    monkeypatch.setattr("lipstream.demo.show.run_demo", lambda scale: is_true and scale == 0.5)
    assert run("demo", "--scale", "0.5").exit_code == code


def test_serve_on_a_terminal_prints_the_same_words(file: str) -> None:
    """With colours around them; the curl line stays one line, to be pasted."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from lipstream.cli import main; main()", "serve", "--port", "0"],
        env=os.environ | {"LIPSTREAM_CONFIG": file, "TERM": "xterm", "COLUMNS": "40"},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    try:
        text = ""
        end = time.monotonic() + 20
        while not text.rstrip().endswith("]}'") and time.monotonic() < end:
            text += STYLE.sub("", os.read(ours, 4096).decode())
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    assert "backend    s: stub" in text
    assert re.search(r"try {8}curl -N [^\n]*\]}'", text)


# ---------------------------------------------------------------- looking at backends


@pytest.mark.parametrize(
    ("settings", "code"),
    [((), 0), (("--set", "backends.b={kind: openai, base_url: 'http://127.0.0.1:9'}"), 1)],
)
def test_doctor_ends_with_its_verdict(file: str, settings: tuple[str, ...], code: int) -> None:
    """For scripts; a backend without a key is a fault."""
    result = run("doctor", "--json", "--no-probe", "--config", file, *settings)
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (code, code == 0)


def test_doctor_refuses_a_configuration_that_does_not_fit_together() -> None:
    """Before anybody is asked."""
    result = run("doctor", "--set", "backends={}")
    assert (result.exit_code, result.stdout) == (2, "")
