"""An emulator in a process of its own, for benchmarks and by hand.

    python -m lipstream.emulators --port 0 --json '{"fast": {"words": 20, "pace": 0.01}}'

It speaks all dialects at once. One line of JSON says that it listens: ``port``, ``base_url`` for
clients of OpenAI's API, ``origin`` for those of Anthropic's and Gemini's, and ``dialects``, the
base URL by dialect. It serves until its standard input ends or SIGTERM or SIGINT comes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import trio

from lipstream.emulators import nvidia, openrouter
from lipstream.emulators.emulator import Emulator
from lipstream.emulators.script import Script, script_from_json
from lipstream.errors import ConfigError

STDIN = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; 0 at the end, 2 when the arguments cannot be used."""
    arguments = _parser().parse_args(argv)
    try:
        emulator = _emulator(arguments)
    except (ConfigError, msgspec.DecodeError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    trio.run(_serve, emulator, arguments.port, arguments.host)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lipstream.emulators")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--json", default="{}", help="model to script, or to a list of scripts")
    parser.add_argument("--default", default="{}", help="the script of every other model")
    parser.add_argument("--require-auth", action="store_true", help="401 without a credential")
    parser.add_argument("--expect-key", help="401 with any other credential")
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
    return parser


def _emulator(arguments: argparse.Namespace) -> Emulator:
    scripts = msgspec.json.decode(arguments.json, type=dict[str, Any])
    return Emulator(
        {model: _scripts(given) for model, given in scripts.items()},
        default=script_from_json(msgspec.json.decode(arguments.default, type=dict[str, Any])),
        require_auth=arguments.require_auth,
        expect_key=arguments.expect_key,
        seed=arguments.seed,
    )


def _scripts(given: Any) -> list[Script]:
    several = given if isinstance(given, list) else [given]
    if not all(isinstance(raw, Mapping) for raw in several):
        raise ConfigError("a script is an object")
    return [script_from_json(raw) for raw in several]


async def _serve(emulator: Emulator, port: int, host: str) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(emulator.serve, port, host)
        nursery.start_soon(_wait_for_signal, nursery.cancel_scope)
        ready = {
            "base_url": emulator.base_url,
            "port": emulator.port,
            "origin": emulator.origin,
            "dialects": {
                "openai-chat": emulator.base_url,
                "openai-responses": emulator.base_url,
                "anthropic-messages": emulator.origin,
                "gemini": emulator.origin,
                "bedrock": emulator.origin,
                "acp": emulator.origin,
                "nvidia": emulator.origin + nvidia.PREFIX,
                "openrouter": emulator.origin + openrouter.PREFIX,
            },
        }
        print(msgspec.json.encode(ready).decode(), flush=True)
        await trio.to_thread.run_sync(_read_to_end, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


def _read_to_end() -> None:
    """Return when standard input ends; the lock of ``sys.stdin`` could hold up the exit."""
    while os.read(STDIN, 4096):
        pass


async def _wait_for_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


if __name__ == "__main__":
    sys.exit(main())
