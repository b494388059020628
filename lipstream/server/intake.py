"""From a request to what the executor needs: read, guard, decode, route. Foreign exceptions become
ours here."""

from __future__ import annotations

import math
from functools import lru_cache
from urllib.parse import parse_qsl

import attrs

from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.limits import CallLimits
from lipstream.canonical.policy import Policy
from lipstream.errors import BadRequest
from lipstream.execution.live import Route
from lipstream.framing.json_guard import check_json
from lipstream.interfaces import ServerDialect
from lipstream.routing.choice import RouteRules
from lipstream.routing.selector import format_selector
from lipstream.server.downstream import Downstream, RequestHead
from lipstream.server.paths import model_and_action

ROUTE_HEADER = "x-lip-route"
TIMEOUT_HEADER = "x-lip-timeout"
_CACHED_NAME = 512  # characters: longer selectors are parsed anew each time


@attrs.frozen
class Intake:
    """One request, ready to run.

    Attributes:
        time_limit: Seconds that the client gives it, or None.
    """

    call: Call
    route: Route
    time_limit: float | None


class Router:
    """Chooses routes by the rules and gives them the configured policy."""

    def __init__(self, rules: RouteRules, policy: Policy) -> None:
        self._rules = rules
        self._policy = policy
        self._cached = lru_cache(maxsize=1024)(self._compile)

    def route(self, model: str, header: str | None) -> Route:
        """The route of one request. Raises BadSelector."""
        is_short = len(model) + len(header or "") <= _CACHED_NAME
        return self._cached(model, header) if is_short else self._compile(model, header)

    def forget(self) -> None:
        """The rules have changed."""
        self._cached.cache_clear()

    def _compile(self, model: str, header: str | None) -> Route:
        selector = self._rules.choose(model, header)
        return Route(selector, format_selector(selector), self._policy)


async def take_in(
    downstream: Downstream, dialect: ServerDialect, router: Router, limits: CallLimits
) -> Intake:
    """Reads and decodes one request.

    Raises:
        ClientFault, RoutingFault: the request cannot be run; the text says why.
        ClientGone: the client left before it was all there.
    """
    head = downstream.head
    time_limit = _time_limit(head)
    body = await downstream.read_body(limits.body)
    check_json(body, max_depth=limits.json_depth)
    call = dialect.decode_request(body, ask_of(head))
    return Intake(call, router.route(call.model, head.headers.get(ROUTE_HEADER)), time_limit)


def ask_of(head: RequestHead) -> Ask:
    """What the request says outside its body."""
    model, action = model_and_action(head.path)
    query = {name: value for name, value in parse_qsl(head.query) if name != "key"}
    return Ask(model, action, query, head.headers)


def _time_limit(head: RequestHead) -> float | None:
    text = head.headers.get(TIMEOUT_HEADER, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadRequest(
            f"{TIMEOUT_HEADER} must be a number of seconds above 0", code="invalid_header"
        )
    return seconds
