"""The measurements: every program runs with tiny numbers, and the arithmetic is right."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import cost, failover, provider, race, report
from bench.client import Answer, Ask, Client, chat
from bench.report import Summary, median, percentile, rounded
from bench.rig import Seen, cpu_seconds, tick_seconds
from bench.work import CASES, Case

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().split("\n") if line]


# ---------------------------------------------------------------- the programs


def test_race_tells_every_policy_and_leaves_nothing_open(tmp_path: Path) -> None:
    """A tiny run has a clean row for each policy, and a race costs one request more for each."""
    file, picture = tmp_path / "race.jsonl", tmp_path / "race.svg"
    options = ["--requests", "2", "--rate", "100", "--only", "constant"]
    assert race.main([*options, "--json", str(file), "--plot", str(picture)]) == 0
    about, *rows = rows_of(file)
    assert about["program"] == "race"
    assert [row["policy"] for row in rows] == [policy.name for policy in race.POLICIES]
    assert {row["orphans"] for row in rows} == {0}
    extra = {row["policy"]: row["extra_upstream_share"] for row in rows}
    assert (extra["single"], extra["race of 2"], extra["race of 3"]) == (0.0, 1.0, 2.0)


def test_failover_tells_every_case(tmp_path: Path) -> None:
    """A tiny run ends as it should in every case."""
    file = tmp_path / "failover.jsonl"
    assert failover.main(["--rounds", "1", "--json", str(file)]) == 0
    _, direct, *rows = rows_of(file)
    assert (direct["case"], direct["upstream_requests"]) == (failover.DIRECTLY, 1.0)
    assert [row["case"] for row in rows] == [case.name for case in failover.CASES]
    assert {row["wrong"] for row in rows} == {0}


@LINUX
def test_cost_tells_cpu_time_of_each_kind(tmp_path: Path) -> None:
    """A tiny run has CPU time and latency for requests, paced events and bursts."""
    file = tmp_path / "cost.jsonl"
    names = ["requests-1", "paced-5", "burst-4"]
    options = [text for name in names for text in ("--only", name)]
    options += ["--rounds", "1", "--window", "0.1", "--json", str(file)]
    assert cost.main(options) == 0
    _, *rows = rows_of(file)
    assert [row["case"] for row in rows] == names
    assert all(row["cpu_us_per_unit"] > 0 and row["latency_p50_ms"] > 0 for row in rows)
    assert {row["orphans"] for row in rows} == {0}


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize(
    ("samples", "share", "expected"),
    [
        ([3.0], 0.99, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.0, 1.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.5),
        ([4.0, 1.0, 3.0, 2.0], 1.0, 4.0),
        ([float(n) for n in range(101)], 0.95, 95.0),
    ],
)
def test_percentile_is_linear_between_samples(
    samples: Sequence[float], share: float, expected: float
) -> None:
    """The order does not matter, the ends are the extremes."""
    assert expected == percentile(samples, share)


def test_nothing_measured_is_no_number() -> None:
    """Without samples there is no figure: NaN inside, null in JSON, a dash in a table."""
    assert math.isnan(percentile([], 0.5))
    assert Summary.of([]).as_row("x")["x_p99_ms"] is None
    assert report.milliseconds(Summary.of([]).p50) == report.NOTHING


def test_repeated_measurements_leave_out_what_is_no_number() -> None:
    """The median is of what was measured."""
    assert median([2.0, math.nan, 1.0, 4.0]) == 2.0
    assert math.isnan(median([math.nan]))
    assert (rounded(1.23456, 2), rounded(math.nan)) == (1.23, None)


def test_summary_is_in_milliseconds_in_a_row() -> None:
    """Names say what they are of and end in the unit."""
    row = Summary.of([0.001, 0.003]).as_row("ttft")
    assert row["ttft_count"] == 2
    assert (row["ttft_mean_ms"], row["ttft_p50_ms"], row["ttft_p95_ms"]) == (2.0, 2.0, 2.9)


# ---------------------------------------------------------------- the race's arithmetic


def test_latency_of_a_request_depends_on_its_number_alone() -> None:
    """Whoever asks meets the same luck; other numbers, backends and seeds have their own."""
    first = provider.latency(1, "lognormal-a", 7)
    others = [(1, "lognormal-a", 8), (1, "lognormal-b", 7), (2, "lognormal-a", 7)]
    assert first == provider.latency(1, "lognormal-a", 7)
    assert first not in {provider.latency(*other) for other in others}


@pytest.mark.parametrize(
    ("name", "latencies", "expected"),
    [
        ("single", (3.0, 0.5, 0.1), 3.0),
        ("race of 2", (3.0, 0.5, 0.1), 0.5),
        ("race of 3", (3.0, 0.5, 0.1), 0.1),
        ("handicap", (3.0, 0.5, 0.1), 1.5),
        ("handicap", (1.2, 0.5, 0.1), 1.2),
        ("failover", (1.2, 0.5, 0.1), 1.5),
        ("failover", (0.9, 0.5, 0.1), 0.9),
    ],
)
def test_ideal_is_what_a_perfect_proxy_needs(
    name: str, latencies: Sequence[float], expected: float
) -> None:
    """Worked out from the latencies, by what each policy asks when."""
    (policy,) = (policy for policy in race.POLICIES if policy.name == name)
    assert expected == policy.ideal(latencies)


def raced(*seen: Seen) -> race.Request:
    """A race that was due at 10 s and over at 12 s."""
    policy = next(policy for policy in race.POLICIES if policy.name == "race of 2")
    answer = Answer(Ask(1, b"", at=10.0), 10.0, 200, 10.1, [11.0], 12.0, is_done=True)
    return race.Request(policy, (1.0, 1.0, 1.0), answer, seen)


def test_abort_time_runs_from_the_winners_content_to_the_losers_end() -> None:
    """The winner is the one that was complete; the loser's socket tells when it was let go."""
    winner = Seen("a", 10.0, "complete", first_content_at=10.9, finished_at=11.9)
    loser = Seen("b", 10.0, "aborted_by_client", finished_at=10.95, closed_at=10.95)
    request = raced(winner, loser)
    assert request.abort_times == pytest.approx([0.05])
    assert (request.ttft, request.orphans) == (1.0, 0)


@pytest.mark.parametrize("finished_at", [None, 12.0 + race.SETTLE * 2])
def test_upstream_request_that_outlives_its_exchange_is_an_orphan(
    finished_at: float | None,
) -> None:
    """Whether it still runs or ended by itself long after the client had everything."""
    winner = Seen("a", 10.0, "complete", first_content_at=10.9, finished_at=11.9)
    loser = Seen("b", 10.0, None, finished_at=finished_at)
    assert raced(winner, loser).orphans == 1


# ---------------------------------------------------------------- the cost's arithmetic


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_paced_stream_has_a_beat_of_its_own(case: Case) -> None:
    """Events of different streams are spread evenly, however many streams there are."""
    beats = {round(case.gap * n * 2000) % case.width for n in range(case.width)}
    assert len(beats) == case.width


@LINUX
@pytest.mark.parametrize("account", [cpu_seconds, tick_seconds])
def test_cpu_time_grows_with_work(account: Callable[[int], float]) -> None:
    """Both accounts of the kernel know what a process has used, each to its own fineness."""
    before, end = account(os.getpid()), time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    assert account(os.getpid()) - before >= 0.05


# ---------------------------------------------------------------- the client


@contextmanager
def answering(*pieces: bytes, linger: bool = True) -> Iterator[int]:
    """A server that sends these pieces, one read each, to the one client that it has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.recv(65536)
                for piece in pieces:
                    sock.sendall(piece)
                    time.sleep(0.05)
                if linger:
                    sock.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def ask(port: int) -> Answer:
    with Client() as client:
        client.run([Ask(port, chat("m", "x"))], until=time.monotonic() + 10)
        return client.answers[0]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_event_that_arrives_in_two_reads_counts_once() -> None:
    """A mark cut in two is one mark; an empty text is none."""
    event = chunk(b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n')
    role = chunk(b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n')
    cut = event.index(b"content") + 4
    tail = event + chunk(b"data: [DONE]\n\n") + END
    with answering(HEAD + role + event[:cut], event[cut:], tail) as port:
        answer = ask(port)
    assert (len(answer.arrivals), answer.is_done, answer.is_good) == (2, True, True)
    assert answer.failure == ""


def test_stream_that_is_cut_is_a_failure() -> None:
    """An end without the last chunk is no answer, whatever came before."""
    event = chunk(b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n')
    with answering(HEAD + event, linger=False) as port:
        answer = ask(port)
    assert (answer.failure, answer.is_good, answer.status) == ("closed early", False, 200)


def test_stream_without_its_marker_is_not_good() -> None:
    """A stream that ends in an error of its dialect has a clean HTTP end."""
    event = chunk(b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n')
    with answering(HEAD + event + END) as port:
        answer = ask(port)
    assert (answer.failure, answer.is_over, answer.is_good) == ("", True, False)


def test_server_that_is_not_there_is_a_failure() -> None:
    """A refused connection is an answer that failed, not an end of the measurement."""
    with failover.closed_port() as port:
        answer = ask(port)
    assert (answer.failure, answer.is_over) == ("ConnectionRefusedError", True)
