"""The web application: one Quart-Trio app for everything that the server answers.

Exchange endpoints come in a literal table of method and path and are answered on bare ASGI
(:mod:`lipstream.server.connection`). The ordinary routes are here: the list of models, health,
a first page, and errors that say where to go.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import attrs
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

import lipstream
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.protocols import openai_responses
from lipstream.server.connection import ExchangeConnection
from lipstream.server.downstream import Handler
from lipstream.server.models import Models, add_models, problem_response
from lipstream.server.paths import model_and_action, usual_path

MAX_BODY_BYTES = 32 * 2**20
SHOWN_PATH_CHARS = 200


@attrs.frozen
class Readiness:
    """Whether new requests are welcome.

    Attributes:
        is_draining: The process is about to end.
        problems: What else is in the way, for people: ``no backend is eligible``.
    """

    is_draining: bool = False
    problems: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send requests here."""
        return not self.is_draining and not self.problems


class LipstreamApp(QuartTrio):
    """A Quart-Trio app with two tables of exchange handlers beside its routes: by method and path,
    and by the action that a path in Gemini's manner ends in."""

    asgi_http_class = ExchangeConnection

    def __init__(
        self, handlers: Mapping[tuple[str, str], Handler], actions: Mapping[str, Handler]
    ) -> None:
        super().__init__("lipstream", static_folder=None)
        self.handlers = dict(handlers)
        self.actions = dict(actions)
        # Streams last as long as they last. Time without progress is the connection's affair.
        self.config.update(
            RESPONSE_TIMEOUT=None, BODY_TIMEOUT=None, MAX_CONTENT_LENGTH=MAX_BODY_BYTES
        )

    def handler(self, method: str, path: str) -> Handler | None:
        """Who answers this request, or None where Quart does."""
        handler = self.handlers.get((method, path))
        if handler is None and method == "POST":
            action = model_and_action(path)[1]
            handler = self.actions.get(action) if action else None
        return handler

    def usual_path(self, path: str) -> str:
        """The path by which the tables know what a client asked for."""
        return usual_path(path)


def create_app(
    *,
    handlers: Mapping[tuple[str, str], Handler],
    actions: Mapping[str, Handler] = MappingProxyType({}),
    readiness: Callable[[], Readiness],
    models: Models,
    learn: Callable[[], Awaitable[None]] | None = None,
    cancel: Callable[[str], bool] = lambda _: False,
    metrics: Callable[[], bytes] | None = None,
) -> LipstreamApp:
    """Builds the application.

    Args:
        handlers: By method and path, as :func:`usual_path` writes it.
        actions: By what stands after the last colon of a path ``/v1beta/models/{model}:action``.
        readiness: Asked for each ``/readyz``.
        models: Asked for each list of models.
        learn: Awaited before that; takes a moment at most.
        cancel: Ends the running answer with this id; False where there is none.
        metrics: Asked for each ``/metrics``, in Prometheus's text format; without it there is none.
    """
    app = LipstreamApp(handlers, actions)
    _add_front_page(app)
    _add_health(app, readiness)
    add_models(app, models, learn)
    _add_cancel(app, cancel)
    if metrics is not None:
        _add_metrics(app, metrics)
    app.register_error_handler(HTTPException, functools.partial(_refuse, app))
    return app


def _add_front_page(app: LipstreamApp) -> None:
    @app.get("/")
    async def front_page() -> dict[str, object]:
        return {
            "service": "lipstream",
            "version": lipstream.__version__,
            "base_url": f"{request.host_url}v1",
            "endpoints": _endpoints(app),
        }


def _add_health(app: LipstreamApp, readiness: Callable[[], Readiness]) -> None:
    @app.get("/livez")
    async def livez() -> Response:
        return Response("ok", content_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> tuple[dict[str, object], int]:
        now = readiness()
        if now.is_ready:
            return {"status": "ready"}, 200
        status = "draining" if now.is_draining else "unready"
        return {"status": status, "problems": list(now.problems)}, 503


def _add_cancel(app: LipstreamApp, cancel: Callable[[str], bool]) -> None:
    @app.post("/v1/responses/<response_id>/cancel")
    async def cancel_response(response_id: str) -> Response:
        if cancel(response_id):
            body = openai_responses.SERVER.encode_cancelled(response_id)
            return Response(body, content_type="application/json")
        text = f"No response {_shown(response_id)} is running here. Only streams can be cancelled."
        return _error(404, text, "response_not_found")


def _add_metrics(app: LipstreamApp, metrics: Callable[[], bytes]) -> None:
    @app.get("/metrics")
    async def show_metrics() -> Response:
        return Response(metrics(), content_type="text/plain; version=1.0.0; charset=utf-8")


# ---------------------------------------------------------------- errors


def _error(
    status: int, message: str, code: str, headers: Mapping[str, str] | None = None
) -> Response:
    kind = _KINDS.get(status, ProblemKind.INVALID_REQUEST)
    if status >= 500:
        kind = ProblemKind.INTERNAL
    return problem_response(Problem(status, kind, message, code), headers)


_KINDS = {404: ProblemKind.NOT_FOUND, 413: ProblemKind.TOO_LARGE}


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_PATH_CHARS else text[:SHOWN_PATH_CHARS] + "..."


def _endpoints(app: LipstreamApp) -> list[str]:
    routes = {f"GET {rule.rule}" for rule in app.url_map.iter_rules()}
    actions = [f"POST /v1beta/models/{{model}}:{action}" for action in app.actions]
    return [f"{method} {path}" for method, path in app.handlers] + actions + sorted(routes)


def _methods(app: LipstreamApp, error: HTTPException) -> list[str]:
    """The methods that the path takes where it exists; empty where it does not."""
    methods = {method for method, path in app.handlers if path == request.path}
    methods.update(getattr(error, "valid_methods", None) or ())
    return sorted(methods - {"OPTIONS"})


async def _refuse(app: LipstreamApp, error: HTTPException) -> Response:
    """Every error of the application, in the client's own dialect."""
    if methods := _methods(app, error):
        endpoint = f"{methods[0]} {_shown(request.path)}"
        text = f"{request.method} is not allowed here: {endpoint} is the endpoint."
        return _error(405, text, "method_not_allowed", {"Allow": ", ".join(methods)})
    if error.code == 404:
        return _error(404, _not_found(app), "unknown_url")
    status = error.code or 500
    code = error.name.lower().replace(" ", "_")
    return _error(status, error.description or error.name, code)


def _not_found(app: LipstreamApp) -> str:
    text = f"There is nothing at {request.method} {_shown(request.path)}."
    known = {endpoint.partition(" ")[2]: endpoint for endpoint in _endpoints(app)}
    near = difflib.get_close_matches(request.path[:SHOWN_PATH_CHARS], known, n=1)
    if near:
        return f"{text} Did you mean {known[near[0]]}?"
    return f"{text} GET / lists what there is."
