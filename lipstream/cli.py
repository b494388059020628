"""The command line: ``lipstream serve``, ``demo`` and a few that only look at the configuration.

Every option may stand before or after the command. What it says wins over the environment
(``LIPSTREAM_*``), which wins over the file. Exit codes: 0, 1 when a command ran and failed, 2 when
it was called or configured wrongly, with the reason on standard error.

Whatever a command needs is imported when it runs, so that ``--help`` does not wait for a server.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

import lipstream
from lipstream.errors import ConfigError

if TYPE_CHECKING:
    from lipstream.compose import Setup
    from lipstream.config.env import Setting
    from lipstream.config.schema import Config

Options = Mapping[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])

UPSTREAM = "upstream"

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

# Options that are settings by another name.
SHORTHANDS = {
    "host": "server.host",
    "port": "server.port",
    "default_route": "routing.default_route",
}

COMMON = (
    click.option("--config", metavar="FILE", help="YAML file."),
    click.option("--host", help="Address to listen on."),
    click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one."),
    click.option("--default-route", metavar="SELECTOR", help="For models that are not known."),
    click.option(
        "--upstream",
        metavar="URL",
        multiple=True,
        help="An OpenAI-compatible server that gets every request; several are tried in turn. "
        "Without a path, /v1 is added.",
    ),
    click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Any setting."),
    click.option("-v", "--verbose", is_flag=True, default=None, help="Log every attempt."),
)


class Refusal(click.ClickException):
    """The configuration cannot be used."""

    exit_code = 2


class Commands(click.Group):
    """A group that tells what is wrong in one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command and, if it stands alone, exits with its code."""
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            if not standalone_mode:
                raise
            click.echo(f"lipstream: {error.format_message()}", err=True)
            code = error.exit_code
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def common(command: Command) -> Command:
    """Gives a command the options that all commands share."""
    for option in reversed(COMMON):
        command = option(command)
    return command


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common
@click.version_option(lipstream.__version__, prog_name="lipstream", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """A streaming-first, low-latency proxy for language models."""
    context.obj = options
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@common
@click.pass_context
def serve(context: click.Context, /, **options: Any) -> None:
    """Run the proxy."""
    config = load(context, options)
    import trio

    from lipstream.compose import build
    from lipstream.observe.logs import AccessLog, configure_logging
    from lipstream.server.serve import SIGNALS

    logger = configure_logging(config.logging.level.value, config.logging.format.value, sys.stderr)
    try:
        runtime = build(config, os.environ, [AccessLog(logger)])
    except ConfigError as error:
        refuse(error)
    try:
        sockets = runtime.listen()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error

    # Modules and configuration stay for good. Out of the collector's sight they no longer make a
    # full collection stop every stream for tens of milliseconds.
    gc.collect()
    gc.freeze()

    async def run() -> None:
        await runtime.serve(
            sockets,
            signals=SIGNALS,
            on_ready=lambda serving: show(banner(runtime.setup, serving.addresses)),
        )

    trio.run(run)


@main.command()
@click.option("--scale", type=click.FloatRange(0.02, 10), default=1.0, help="Stretch all times.")
@click.pass_context
def demo(context: click.Context, /, scale: float) -> None:
    """Show a race, a failover and a hang-up, with emulated providers."""
    from lipstream.demo.show import run_demo

    context.exit(0 if run_demo(scale) else 1)


@main.command("check-config")
@common
@click.pass_context
def check_config(context: click.Context, /, **options: Any) -> None:
    """Tell what is wrong with the configuration, without starting anything."""
    setup = resolve(load(context, options))
    for warning in setup.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("configuration is valid")


@main.command()
@common
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--no-probe", is_flag=True, help="Send nothing that costs money.")
@click.pass_context
def doctor(context: click.Context, /, as_json: bool, no_probe: bool, **options: Any) -> None:
    """Check every backend: key, connection, models, and a tiny answer."""
    from lipstream.doctor.show import run_doctor

    config = load(context, options)
    try:
        is_good = run_doctor(config, os.environ, is_probed=not no_probe, as_json=as_json)
    except ConfigError as error:
        refuse(error)
    context.exit(0 if is_good else 1)


@main.command()
@common
@click.pass_context
def routes(context: click.Context, /, **options: Any) -> None:
    """Print backends, aliases and the default route as JSON."""
    import json

    setup = resolve(load(context, options))
    stubs = [entry.kind == "stub" for entry in setup.backends.values()]
    plain = {
        "effective_default_route": setup.default_route,
        "backends": [
            {"id": name, "kind": entry.kind, "enabled": True}
            for name, entry in setup.backends.items()
        ],
        "model_aliases": [
            {"pattern": alias.pattern, "replacement": alias.replacement}
            for alias in setup.config.aliases
        ],
        "credential_posture": "all_local_stub" if all(stubs) else "live_provider",
    }
    click.echo(json.dumps(plain, indent=2))


@main.group("config")
def config_group() -> None:
    """Look at the configuration."""


@config_group.command("show")
@common
@click.pass_context
def config_show(context: click.Context, /, **options: Any) -> None:
    """Print the whole configuration as it is in effect, without secrets."""
    import yaml

    from lipstream.config.structure import redacted

    setup = resolve(load(context, options))
    plain = {**redacted(setup.config), "backends": redacted(setup.backends)}
    plain["routing"]["default_route"] = setup.default_route
    click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), nl=False)


# ---------------------------------------------------------------- options to configuration


def refuse(error: ConfigError) -> NoReturn:
    """Ends with exit code 2."""
    raise Refusal(str(error)) from error


def load(context: click.Context, options: Options) -> Config:
    """The configuration from file, environment and options."""
    from lipstream.config.env import settings_in
    from lipstream.config.load import load_config
    from lipstream.upstream.providers import KINDS

    given = merged(context.find_root().obj, options)
    environment = os.environ
    path = given["config"] or environment.get("LIPSTREAM_CONFIG", "")
    settings: list[Setting] = []
    if not given["upstream"]:
        named = environment.get("LIPSTREAM_UPSTREAM", "").split()
        settings += upstream_settings(named, "LIPSTREAM_UPSTREAM")
    settings += [*settings_in(environment), *settings_of(given)]
    try:
        return load_config(
            read(path), kinds=KINDS, environment=environment, source=path, settings=settings
        )
    except ConfigError as error:
        refuse(error)


def merged(before: Options, after: Options) -> Options:
    """The options from before and after the command; of two values the later one counts."""
    both = {}
    for name, later in after.items():
        earlier = before[name]
        if isinstance(later, tuple):
            both[name] = (*earlier, *later)
        else:
            both[name] = earlier if later is None else later
    return both


def read(path: str) -> str:
    """A file's text; empty without a path."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        refuse(ConfigError(f"cannot read {path}: {reason}"))


def settings_of(given: Options) -> list[Setting]:
    """The settings that options make, in the order in which they count."""
    from lipstream.config.env import Setting

    settings = upstream_settings(given["upstream"], "--upstream")
    for option, path in SHORTHANDS.items():
        if given[option] is not None:
            settings.append(Setting(path, str(given[option]), f"--{option.replace('_', '-')}"))
    if given["verbose"]:
        settings.append(Setting("logging.level", "debug", "-v"))
    for text in given["settings"]:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise click.UsageError(f"--set {text}: expected KEY=VALUE, like routing.max_attempts=5")
        settings.append(Setting(path.strip(), value, "--set"))
    return settings


def upstream_settings(urls: Sequence[str], source: str) -> list[Setting]:
    """Backends for URLs, and a default route that hands every model to them, in turn."""
    from urllib.parse import urlsplit

    from lipstream.config.env import Setting
    from lipstream.upstream.providers import COMPATIBLE

    settings, names = [], []
    for number, url in enumerate(urls, 1):
        name = UPSTREAM if number == 1 else f"{UPSTREAM}-{number}"
        base_url = url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/v1"
        settings.append(Setting(f"backends.{name}.kind", COMPATIBLE, source))
        settings.append(Setting(f"backends.{name}.base_url", base_url, source))
        names.append(name)
    if names:
        route = "|".join(f"{name}:*" for name in names)
        settings.append(Setting("routing.default_route", route, source))
    return settings


def resolve(config: Config) -> Setup:
    """What the configuration comes to."""
    from lipstream.compose import resolve as resolve_config

    try:
        return resolve_config(config, os.environ)
    except ConfigError as error:
        refuse(error)


# ---------------------------------------------------------------- what serve says


def banner(setup: Setup, addresses: Iterable[str]) -> list[tuple[str, str]]:
    """What is served, as labels and lines; never a key."""
    from lipstream.config.schema import HttpEntry
    from lipstream.upstream.entries import key_count

    rows = [("lipstream", lipstream.__version__)]
    rows += [("listening", f"{address}/v1") for address in addresses]
    for name, entry in setup.backends.items():
        what = entry.kind if name != entry.kind else ""
        if isinstance(entry, HttpEntry):
            count = key_count(entry)
            key = f"with {count} keys" if count > 1 else f"with{'' if count else 'out'} a key"
            what = ", ".join(part for part in (what, entry.base_url, key) if part)
        rows.append(("backend", f"{name}: {what or entry.kind}"))
    rows.append(("default", setup.default_route))
    rows += [("alias", f"{alias.pattern} -> {alias.replacement}") for alias in setup.config.aliases]
    rows += [("model", text) for text in hints(setup)]
    rows += [("warning", text) for text in setup.warnings]
    listen = setup.config.server.listen
    if not listen.is_loopback:
        rows.append(("warning", f"whoever can reach {listen} can use these backends"))
    return [*rows, ("try", curl(setup, next(iter(addresses), "")))]


def hints(setup: Setup) -> list[str]:
    """How to reach providers that the default route does not."""
    if setup.config.backends is not None:
        return []
    return [
        f'"{name}:{entry.models[0]}" asks {name}'
        for name, entry in setup.backends.items()
        if entry.kind != "stub"
    ]


def curl(setup: Setup, address: str) -> str:
    """A line to paste: a request that this proxy answers."""
    from urllib.parse import urlsplit

    parts = urlsplit(address)
    host = EVERYWHERE.get(parts.hostname or "", parts.hostname or "")
    host = f"[{host}]" if ":" in host else host
    models = [model for entry in setup.backends.values() for model in entry.models]
    model = models[0] if ":*" in setup.default_route and models else "default"
    body = f'{{"model": "{model}", "stream": true, "messages": '
    body += '[{"role": "user", "content": "Hello"}]}'
    return (
        f"curl -N http://{host}:{parts.port}/v1/chat/completions "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def show(rows: Sequence[tuple[str, str]]) -> None:
    """Prints rows: with colours on a terminal, plain elsewhere, at once in both cases."""
    if not sys.stdout.isatty():
        with contextlib.suppress(OSError):  # who read the first lines may be gone
            print("\n".join(f"{label:<10} {text}" for label, text in rows), flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    styles = {"lipstream": "bold", "warning": "yellow", "try": "cyan"}
    console = Console(highlight=False)
    for label, text in rows:
        line = Text(f"{label:<10} ", style="dim")
        console.print(line.append(text, style=styles.get(label, "default")), soft_wrap=True)
