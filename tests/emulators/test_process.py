"""The emulator in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import trio

from lipstream.emulators.__main__ import main
from tests.emulators.raw_client import chat, exchange, request, texts

COMMAND = [sys.executable, "-m", "lipstream.emulators"]


@pytest.mark.parametrize("end", ["stdin", "sigterm"])
async def test_process_serves_until_it_is_told_to_end(end: str) -> None:
    """It says where it listens, answers by the given scripts, and ends with 0."""
    scripts = json.dumps({"m": [{"text": "one"}, {"text": "two"}]})
    process = await trio.lowlevel.open_process(
        [*COMMAND, "--json", scripts], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with trio.fail_after(20):
        async with process.stdin, process.stdout:
            ready = json.loads(await process.stdout.receive_some())
            port = ready["port"]
            assert ready["dialects"]["gemini"] == f"http://127.0.0.1:{port}"
            said = [texts((await exchange(port, request(chat()))).events) for _ in range(2)]
            if end == "sigterm":
                process.send_signal(signal.SIGTERM)
                await process.wait()
        assert (said, await process.wait()) == ([["one"], ["two"]], 0)


@pytest.mark.parametrize("raw", ["{", '{"m": {"wordz": 1}}', '{"m": 1}', "[]"])
def test_bad_scripts_end_with_2(raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is opened, and the reason is on standard error."""
    assert main(["--json", raw]) == 2
    assert capsys.readouterr().err.startswith("error: ")
