"""How one exchange is run, as a value: what may be tried, for how long, and what counts as an
answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from lipstream.canonical.price import Tariff
from lipstream.canonical.transport import Fallback


class CommitPoint(enum.Enum):
    """How much of an answer must be there before the client gets any of it."""

    CONTENT = "content"  # the first content of any kind
    TEXT = "text"  # as CONTENT, but reasoning does not count
    TOOL_CALL = (
        "tool_call"  # as CONTENT, but a tool call only when its arguments are complete and parse
    )
    FINISH = "finish"  # the whole answer


@attrs.frozen(kw_only=True)
class Recovery:
    """That a stream which is cut or stalls after the commit is closed as if it had ended.

    Attributes:
        idle: Longest silence of an upstream after the commit, in the place of a longer one.
        warns: Send a warning where the dialect has a place for it. The finish reason always says
            that the answer is not complete.
    """

    idle: float = 48.0
    warns: bool = True


@attrs.frozen(kw_only=True)
class Policy:
    """The limits of one exchange. Times in seconds.

    Attributes:
        max_attempts: Upstream tries that may be started, race legs and repeats included.
        deadline: For the whole exchange, from the decoded request to the last byte.
        idle: Longest silence of an upstream, before and after the commit.
        patience: With a further candidate in the plan: how long the running one may be without
            content before that one is started beside it; None for never. Three times that when the
            call asks for high reasoning effort.
        same_first: Ask the same candidate again before the next one, where a repeat is allowed at
            all.
        max_wait: Longest Retry-After that is waited out.
        hedge_ratio: Share of requests that may be given an extra attempt by patience.
        race_side_effects: Race and hedge also calls that leave something behind at a provider
            (``Call.may_race`` is False); a selector's word on it counts more.
        echo_alias: Answer with the client's name of the model instead of the upstream's.
        early_headers: Send the status line with the first keep-alive, before anything is committed.
        keepalive: Seconds without bytes after which a keep-alive is sent.
        resume: How many times another candidate may go on with a text that was cut, 0 to 2; a
            selector's word on it counts more.
        recovery: What becomes of a stream that is cut and that nobody goes on with; None for an
            error in the stream.
        fallback: What is allowed where a backend does not offer exactly the transport asked for.
        tariffs: What each backend charges, for the records; nothing is decided by it.
    """

    max_attempts: int = 3
    deadline: float = 600.0
    idle: float = 120.0
    patience: float | None = 10.0
    commit: CommitPoint = CommitPoint.CONTENT
    same_first: bool = False
    max_wait: float = 30.0
    hedge_ratio: float = 0.1
    race_side_effects: bool = False
    echo_alias: bool = False
    early_headers: bool = False
    keepalive: float = 12.0
    resume: int = 0
    recovery: Recovery | None = None
    fallback: Fallback = Fallback.COMPATIBILITY
    tariffs: Mapping[str, Tariff] = attrs.field(factory=dict, eq=False, repr=False)
