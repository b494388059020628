"""Lines on standard error: one for each exchange and for each candidate whose transport was
rejected, at level debug two for each attempt, and what the libraries have to say.

What a client wrote (a model's name) cannot break out of its line or steer a terminal. Nothing of a
prompt, an answer or a key is ever logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from lipstream.canonical.transport import Mode
from lipstream.lifecycle.exchange import ExchangeState
from lipstream.lifecycle.records import AttemptRecord, ExchangeRecord, Reject

SHOWN = 200  # characters of a name that a client chose
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_BARE = re.compile(r"[\w.:/@%+|!^,~*-]+", re.ASCII)
_LOUD = frozenset({ExchangeState.FAILED, ExchangeState.TRUNCATED})


class AccessLog:
    """An observer that writes lines; see ``interfaces.Observer``."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def on_attempt(self, exchange_id: str, record: AttemptRecord) -> None:
        """Two lines at level debug; only one where no answer was opened."""
        self._opened(exchange_id, record)
        self._tell(
            self._logger.debug,
            "attempt",
            id=exchange_id,
            number=record.number,
            candidate=_short(record.candidate.key),
            credential=record.credential,
            state=record.state.value,
            reason=record.reason,
            status=record.status,
            content_at=_seconds(record.content_at),
            ended_at=_seconds(record.ended_at),
            closed_at=_seconds(record.closed_at),
            detail=_short(record.detail or "") or None,
        )

    def on_exchange(self, record: ExchangeRecord) -> None:
        """One line at level info; at level warning, and with the causes, where the client did not
        get its answer."""
        for reject in record.rejects:
            self._rejected(record.id, reject)
        is_loud = record.ending.state in _LOUD
        winner = next((a for a in record.attempts if a.number == record.winner), None)
        self._tell(
            self._logger.warning if is_loud else self._logger.info,
            "exchange",
            id=record.id,
            model=_short(record.model),
            route=_short(record.selector),
            status=record.status,
            winner=_short(winner.candidate.key) if winner else None,
            attempts=len(record.attempts),
            ttft=_seconds(record.first_byte_at),
            duration=_seconds(record.duration),
            ending=record.ending.reason,
            causes=_causes(record.attempts) if is_loud else None,
        )

    def _opened(self, exchange_id: str, record: AttemptRecord) -> None:
        if record.opened_at is None or record.headers_at is None:
            return
        self._tell(
            self._logger.debug,
            "backend_attempt_opened",
            call_id=exchange_id,
            attempt=record.number,
            candidate_key=_short(record.candidate.key),
            backend=record.candidate.backend,
            model=_short(record.candidate.model),
            operation=record.operation or None,
            client_delivery_mode=_mode(record.delivery),
            upstream_transport_mode=_mode(record.mode),
            is_bridged=record.is_bridged,
            open_duration_ms=round((record.headers_at - record.opened_at) * 1000, 1),
        )

    def _rejected(self, exchange_id: str, reject: Reject) -> None:
        is_transport = reject.transport is not None
        self._tell(
            self._logger.info if is_transport else self._logger.debug,
            "transport_reject" if is_transport else "capability_reject",
            decision="exclude_candidate",
            candidate_key=_short(reject.candidate.key),
            backend=reject.candidate.backend,
            call_id=exchange_id,
            why=reject.message,
        )

    @staticmethod
    def _tell(write: Callable[..., object], event: str, **fields: object) -> None:
        with contextlib.suppress(OSError):  # standard error may be a pipe that nobody reads
            write(event, **fields)


def _causes(attempts: Sequence[AttemptRecord]) -> str:
    return ", ".join(f"{_short(a.candidate.key)}={a.reason}" for a in attempts)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _mode(mode: Mode | None) -> str | None:
    return None if mode is None else mode.value


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# ---------------------------------------------------------------- where the lines go


def render_text(_: object, __: str, event: EventDict) -> str:
    """``12:00:00.000 info exchange id=... model=...``; what is not known is left out."""
    head = [str(event.pop(name, "")) for name in ("timestamp", "level", "event")]
    exception = event.pop("exception", "")
    fields = [f"{name}={_field(value)}" for name, value in event.items() if value is not None]
    line = " ".join([*head, *fields])
    return f"{line}\n{exception}" if exception else line


def _field(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


def configure_logging(level: str, style: str, stream: TextIO) -> Any:
    """Sends everything that is logged to a stream; returns the logger for :class:`AccessLog`.

    Args:
        level: One of :data:`LEVELS`. Libraries are heard from warnings on, in any case.
        style: ``text`` or ``json``, one object in each line.
    """
    is_text = style == "text"
    stamp = structlog.processors.TimeStamper("%H:%M:%S.%f" if is_text else "iso", utc=not is_text)
    shared: list[Processor] = [structlog.stdlib.add_log_level, stamp]
    render: Processor = render_text if is_text else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger("lipstream").setLevel(LEVELS[level])
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        cache_logger_on_first_use=True,
    )
