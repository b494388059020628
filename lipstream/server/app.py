"""The web application: one Quart-Trio app for everything that the server answers.

Exchange endpoints come in a literal table of method and path and are answered on bare ASGI
(:mod:`lipstream.server.connection`). The ordinary routes are here: the list of models, health,
a first page, and errors that say where to go.

Paths are taken as they are meant: a trailing slash, doubled slashes and a doubled ``/v1`` (a base
URL that ends in ``/v1``, in a client that adds one) reach the same endpoint, without a redirect,
which a POST would not survive.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import attrs
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

import lipstream
from lipstream.server.connection import ExchangeConnection, error_body
from lipstream.server.downstream import Handler

MAX_BODY_BYTES = 32 * 2**20
SHOWN_PATH_CHARS = 200

_SLASHES = re.compile("/{2,}")
_DOUBLED_VERSION = re.compile("^(?:/v1)+(?=/v1/)")


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


@attrs.frozen
class ListedModel:
    """A model as ``/v1/models`` shows it.

    Attributes:
        id: What a client puts into ``model``; may hold slashes and colons.
        owned_by: The backend.
        created: Seconds since the epoch, 0 where it is not known.
    """

    id: str
    owned_by: str = "lipstream"
    created: int = 0


def usual_path(path: str) -> str:
    """The path that a client meant: see the module's text."""
    if not path.startswith("/"):  # the absolute form, as a client of a forward proxy sends it
        path = urlsplit(path).path or "/"
    path = _SLASHES.sub("/", path)
    return _DOUBLED_VERSION.sub("", path).rstrip("/") or "/"


class LipstreamApp(QuartTrio):
    """A Quart-Trio app with a table of exchange handlers beside its routes."""

    asgi_http_class = ExchangeConnection

    def __init__(self, handlers: Mapping[tuple[str, str], Handler]) -> None:
        super().__init__("lipstream", static_folder=None)
        self.handlers = dict(handlers)
        # Streams last as long as they last. Time without progress is the connection's affair.
        self.config.update(
            RESPONSE_TIMEOUT=None, BODY_TIMEOUT=None, MAX_CONTENT_LENGTH=MAX_BODY_BYTES
        )

    def handler(self, method: str, path: str) -> Handler | None:
        """Who answers this request, or None where Quart does."""
        return self.handlers.get((method, path))

    def usual_path(self, path: str) -> str:
        """The path by which the tables know what a client asked for."""
        return usual_path(path)


def create_app(
    *,
    handlers: Mapping[tuple[str, str], Handler],
    readiness: Callable[[], Readiness],
    models: Callable[[], Iterable[ListedModel]],
) -> LipstreamApp:
    """Builds the application.

    Args:
        handlers: By method and path, as :func:`usual_path` writes it.
        readiness: Asked for each ``/readyz``.
        models: Asked for each list of models.
    """
    app = LipstreamApp(handlers)
    _add_front_page(app)
    _add_health(app, readiness)
    _add_models(app, models)
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


def _add_models(app: LipstreamApp, models: Callable[[], Iterable[ListedModel]]) -> None:
    def encode(model: ListedModel) -> dict[str, object]:
        return {"object": "model", **attrs.asdict(model)}

    @app.get("/v1/models")
    async def list_models() -> dict[str, object]:
        listed = sorted(models(), key=lambda model: (model.id, model.owned_by))
        return {"object": "list", "data": [encode(model) for model in listed]}

    @app.get("/v1/models/<path:model_id>")
    async def show_model(model_id: str) -> Response | dict[str, object]:
        for model in models():
            if model.id == model_id:
                return encode(model)
        text = f"The model {_shown(model_id)} is not known. GET /v1/models lists those that are."
        return _error(404, text, "model_not_found")


# ---------------------------------------------------------------- errors


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = error_body(message, code=code, kind=kind)
    return Response(body, status, headers, content_type="application/json")


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_PATH_CHARS else text[:SHOWN_PATH_CHARS] + "..."


def _endpoints(app: LipstreamApp) -> list[str]:
    routes = {f"GET {rule.rule}" for rule in app.url_map.iter_rules()}
    return [f"{method} {path}" for method, path in app.handlers] + sorted(routes)


def _methods(app: LipstreamApp, error: HTTPException) -> list[str]:
    """The methods that the path takes where it exists; empty where it does not."""
    methods = {method for method, path in app.handlers if path == request.path}
    methods.update(getattr(error, "valid_methods", None) or ())
    return sorted(methods - {"OPTIONS"})


async def _refuse(app: LipstreamApp, error: HTTPException) -> Response:
    """Every error of the application in OpenAI's shape."""
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
