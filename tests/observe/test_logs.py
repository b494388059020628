"""The lines that are logged."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from lipstream.canonical.candidate import Candidate
from lipstream.canonical.transport import Mode, Verdict
from lipstream.errors import FaultKind
from lipstream.interfaces import Observer
from lipstream.lifecycle.attempt import AttemptState
from lipstream.lifecycle.exchange import Ending, ExchangeState
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord, Reject
from lipstream.observe.logs import AccessLog, configure_logging

WON = AttemptRecord(
    number=2,
    step=0,
    candidate=Candidate("b", "m"),
    state=AttemptState.COMPLETE,
    reason="complete",
    due_at=0.0,
    opened_at=0.0,
    headers_at=0.1,
    content_at=0.2,
    committed_at=0.2,
    ended_at=1.0,
    closed_at=1.0,
)
FAILED = attrs.evolve(
    WON,
    number=1,
    candidate=Candidate("a", "m"),
    state=AttemptState.FAILED,
    reason="server",
    committed_at=None,
    content_at=None,
    fault=FaultKind.SERVER,
    status=500,
    detail="out of order",
)
RECORD = ExchangeRecord(
    id="x1",
    dialect="openai_chat",
    model="smart",
    selector="a:m!b:m",
    is_streaming=True,
    started_at=0.0,
    duration=1.23456,
    ending=Ending(ExchangeState.COMPLETE, "complete"),
    winner=2,
    attempts=(FAILED, WON),
    first_byte_at=0.2,
    status=200,
)


@pytest.fixture(autouse=True)
def _kept_logging() -> Iterator[None]:
    """Leaves the process's logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("lipstream")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], _, _ = before
    root.setLevel(before[1])
    ours.setLevel(before[2])


def lines(level: str, style: str, record: ExchangeRecord = RECORD) -> list[str]:
    """What one exchange leaves in the log."""
    stream = io.StringIO()
    log: Observer = AccessLog(configure_logging(level, style, stream))
    for attempt in record.attempts:
        log.on_attempt(record.id, attempt)
    log.on_exchange(record)
    return stream.getvalue().split("\n")[:-1]


def test_exchange_is_one_line() -> None:
    """All that an operator looks for first."""
    (line,) = lines("info", "text")
    stamp, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", stamp)
    assert rest == (
        "info exchange id=x1 model=smart route=a:m!b:m status=200 winner=b:m attempts=2 "
        "ttft=0.2 duration=1.235 ending=complete"
    )


def test_attempts_are_lines_at_debug() -> None:
    """With the upstream's own words."""
    told = [line for line in lines("debug", "text") if " attempt id=" in line]
    assert len(told) == 2
    assert "reason=server status=500" in told[0]
    assert 'detail="out of order"' in told[0]


def test_opened_attempt_tells_how_its_backend_was_asked() -> None:
    """One that was never opened has no such line; a key is told by its id."""
    asked = attrs.evolve(
        WON,
        operation="openai.chat_completions",
        delivery=Mode.NON_STREAMING,
        mode=Mode.STREAMING,
        credential="team-a",
    )
    unopened = attrs.evolve(FAILED, headers_at=None)
    first, second, third, _ = lines(
        "debug", "text", attrs.evolve(RECORD, attempts=(unopened, asked))
    )
    assert " attempt id=x1 number=1 " in first
    assert second.split(" ", 1)[1] == (
        "debug backend_attempt_opened call_id=x1 attempt=2 candidate_key=b:m backend=b model=m "
        "operation=openai.chat_completions client_delivery_mode=non_streaming "
        "upstream_transport_mode=streaming is_bridged=True open_duration_ms=100.0"
    )
    assert "candidate=b:m credential=team-a " in third


def test_candidates_that_were_not_admitted_are_told() -> None:
    """A transport that is not offered is a matter of configuration, so it is heard; a model that
    lacks something is everyday."""
    rejects = (
        Reject(Candidate("c", "m"), Verdict(False, "openai.responses", Mode.STREAMING), "not so"),
        Reject(Candidate("d", "m"), None, "no eyes"),
    )
    record = attrs.evolve(RECORD, attempts=(), rejects=rejects)
    heard, _ = lines("info", "text", record)
    assert heard.split(" ", 1)[1] == (
        "info transport_reject decision=exclude_candidate candidate_key=c:m backend=c call_id=x1 "
        'why="not so"'
    )
    told = [line.split()[2] for line in lines("debug", "text", record)]
    assert told == ["transport_reject", "capability_reject", "exchange"]


def test_json_lines_are_objects() -> None:
    """One for each, with the same fields."""
    (line,) = lines("info", "json")
    fields = json.loads(line)
    assert (fields["id"], fields["winner"], fields["attempts"]) == ("x1", "b:m", 2)
    assert fields["timestamp"].endswith("Z")


@pytest.mark.parametrize("state", [ExchangeState.FAILED, ExchangeState.TRUNCATED])
def test_failed_exchange_is_heard_at_warning_with_its_causes(state: ExchangeState) -> None:
    """Also where the log is quiet."""
    record = attrs.evolve(
        RECORD, ending=Ending(state, "exhausted"), winner=None, attempts=(FAILED,), status=502
    )
    (line,) = lines("warning", "text", record)
    assert " warning exchange " in line
    assert line.endswith('ending=exhausted causes="a:m=server"')


@pytest.mark.parametrize("state", [ExchangeState.COMPLETE, ExchangeState.ABORTED])
def test_usual_ending_is_not_heard_at_warning(state: ExchangeState) -> None:
    """A client that leaves is no incident."""
    assert lines("warning", "text", attrs.evolve(RECORD, ending=Ending(state, "x"))) == []


def test_name_from_a_client_stays_in_its_field() -> None:
    """No forged lines, no orders to the terminal, no end of length."""
    model = "m\nexchange id=forged \x1b[2J\u2028" + "x" * 1000
    (line,) = lines("info", "text", attrs.evolve(RECORD, model=model))
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 500


class Full(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text: str) -> int:
        """As a pipe that nobody reads."""
        raise BrokenPipeError


def test_broken_stream_does_not_reach_the_exchange() -> None:
    """An observer must not raise."""
    log = AccessLog(configure_logging("debug", "text", Full()))
    log.on_attempt("x", WON)
    log.on_exchange(RECORD)


def library_lines(level: str, style: str) -> str:
    """What is left of lines that libraries and our own modules log."""
    stream = io.StringIO()
    configure_logging(level, style, stream)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("watch %s", "out")
    logging.getLogger("lipstream.server").info("listening")
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("lipstream.server").exception("failed")
    return stream.getvalue()


def test_modules_and_libraries_log_to_the_same_place() -> None:
    """Ours by the level that is set, libraries from warnings on, exceptions with their trace."""
    text = library_lines("info", "text")
    assert "chatter" not in text
    assert " warning watch out\n" in text
    assert " info listening\n" in text
    assert " error failed\nTraceback (most recent call last):\n" in text


def test_modules_log_json_too() -> None:
    """Every line of it is an object."""
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in library_lines("error", "json").split("\n") if line
    ]
    assert [row["event"] for row in rows] == ["failed"]
    assert "ValueError: bad" in rows[0]["exception"]
