"""The list of models, in the shape that the client's SDK reads.

``/v1/models`` is asked by clients of three protocols; which one it is, their headers tell
(``ways.spoken_by``). A model's id may hold slashes and colons.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import attrs
from quart import Response, request
from quart_trio import QuartTrio

from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.errors import BadRequest
from lipstream.interfaces import ServerDialect
from lipstream.protocols import anthropic_messages, gemini
from lipstream.routing.names import ModelNames
from lipstream.server.errors import problem_for
from lipstream.server.ways import spoken_by

SHOWN_ID_CHARS = 200
OWN = "lipstream"


@attrs.frozen
class ListedModel:
    """A model as a list shows it.

    Attributes:
        id: What a client asks for.
        owned_by: The backend.
        created: Seconds since the epoch, 0 where it is not known.
    """

    id: str
    owned_by: str = OWN
    created: int = 0


Models = Callable[[], Iterable[ListedModel]]
Query = Mapping[str, str]


def listed(names: ModelNames) -> list[ListedModel]:
    """What a list of models shows; aliases are lipstream's own."""
    return [ListedModel(name.text, name.backend or OWN) for name in names.listed]


def _openai_list(models: Sequence[ListedModel], _: Query) -> bytes:
    data = [_openai_model(model) for model in models]
    return json.dumps({"object": "list", "data": data}).encode()


def _openai_model(model: ListedModel) -> dict[str, object]:
    return {"object": "model", **attrs.asdict(model)}


def _anthropic_list(models: Sequence[ListedModel], _: Query) -> bytes:
    return anthropic_messages.encode_models(models)


def _gemini_list(models: Sequence[ListedModel], query: Query) -> bytes:
    ids = list(dict.fromkeys(model.id for model in models))
    page_size, page_token = query.get("pageSize", ""), query.get("pageToken", "")
    return gemini.SERVER.encode_models(ids, page_size=page_size, page_token=page_token)


@attrs.frozen
class _Shape:
    """How one protocol shows models."""

    encode_list: Callable[[Sequence[ListedModel], Query], bytes]
    encode_one: Callable[[ListedModel], bytes]


_OPENAI = _Shape(_openai_list, lambda model: json.dumps(_openai_model(model)).encode())
_SHAPES = {
    anthropic_messages.SERVER.name: _Shape(_anthropic_list, anthropic_messages.encode_model),
    gemini.SERVER.name: _Shape(_gemini_list, lambda model: gemini.SERVER.encode_model(model.id)),
}


def add_models(
    app: QuartTrio, models: Models, learn: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Adds the list of models and each single one, under all versions of the API.

    Args:
        models: Asked for each request.
        learn: Awaited before that.
    """

    async def known() -> Iterable[ListedModel]:
        if learn is not None:
            await learn()
        return models()

    async def list_models() -> Response:
        listed = sorted(await known(), key=lambda model: (model.id, model.owned_by))
        try:
            return _json(_shape().encode_list(listed, request.args))
        except BadRequest as error:
            return problem_response(problem_for(error))

    async def show_model(model_id: str) -> Response:
        for model in await known():
            if model.id == model_id:
                return _json(_shape().encode_one(model))
        shown = model_id[:SHOWN_ID_CHARS]
        text = f"The model {shown} is not known. GET /v1/models lists those that are."
        return problem_response(
            Problem(404, ProblemKind.NOT_FOUND, text, "model_not_found", "model")
        )

    for version in ("v1", "v1beta", "v1beta1", "v1alpha"):
        app.add_url_rule(f"/{version}/models", f"models-{version}", list_models)
        app.add_url_rule(f"/{version}/models/<path:model_id>", f"model-{version}", show_model)


def _shape() -> _Shape:
    return _SHAPES.get(_spoken().name, _OPENAI)


def _spoken() -> ServerDialect:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return spoken_by(request.path, headers, request.query_string.decode("latin-1"))


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the words of the protocol that this request's client speaks."""
    body = _spoken().encode_problem(problem)
    return Response(body, problem.status, dict(headers or {}), content_type="application/json")


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")
