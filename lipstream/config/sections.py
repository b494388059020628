"""Sections of the configuration that stand for themselves: streams that break off, errors, logs and
figures. See ``schema``.
"""

from __future__ import annotations

import enum

import attrs

from lipstream.canonical.policy import Recovery
from lipstream.config.values import Pause, Seconds


class PostOutput(enum.Enum):
    """What becomes of an answer that broke off."""

    FINISH_WITH_WARNING = "finish_with_warning"
    FAIL = "fail"  # as without any recovery


class LogLevel(enum.Enum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


@attrs.frozen(kw_only=True)
class AutoResumeSection:
    """Closing an answer that is cut or stalls after its first content as if it had ended.

    The finish reason is ``length``, in the words of the client's dialect: the answer is not whole.

    Attributes:
        idle_timeout: Silence after which an answer counts as stalled.
        grace_period: What it gets on top of that.
        emit_warning: Send a warning where the client's dialect has a place for it.
    """

    enabled: bool = False
    idle_timeout: Seconds = 45.0
    grace_period: Pause = 3.0
    post_output_policy: PostOutput = PostOutput.FINISH_WITH_WARNING
    emit_warning: bool = True


@attrs.frozen(kw_only=True)
class RecoverySection:
    """What is done about streams that break off."""

    auto_resume: AutoResumeSection = AutoResumeSection()

    @property
    def policy(self) -> Recovery | None:
        """The same as the executor wants it; None for an error in the stream."""
        given = self.auto_resume
        if not given.enabled or given.post_output_policy is PostOutput.FAIL:
            return None
        return Recovery(idle=given.idle_timeout + given.grace_period, warns=given.emit_warning)


@attrs.frozen(kw_only=True)
class ErrorsSection:
    """What clients are told about failures.

    Attributes:
        expose_upstream: Error messages may carry the upstream's own words.
    """

    expose_upstream: bool = False


@attrs.frozen(kw_only=True)
class LoggingSection:
    """What is logged to standard error."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.TEXT


@attrs.frozen(kw_only=True)
class MetricsSection:
    """Figures for Prometheus at ``GET /metrics``, for everybody who can reach the port.

    Attributes:
        enabled: By default only where lipstream listens on a loopback address.
    """

    enabled: bool | None = None


@attrs.frozen(kw_only=True)
class ObservabilitySection:
    """What can be seen from outside."""

    metrics: MetricsSection = MetricsSection()
