"""Google's SDK, the Gemini API."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from tests.conformance.drivers.base import KEY, PATIENCE, Driver, given, once, placed, plain
from tests.conformance.outcome import Called, Counted, Failure, Outcome, joined
from tests.conformance.prompt import (
    Allowed,
    Call,
    Link,
    Media,
    Named,
    Part,
    Prompt,
    Replay,
    Result,
    Text,
    Turn,
)

Fields = dict[str, Any]

BUDGET = 8_192

OPTIONS: Mapping[str, Callable[[Any], Fields]] = {
    **plain("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"),
    "max_tokens": lambda value: {"max_output_tokens": value},
    "stop": lambda value: {"stop_sequences": value},
    "n": lambda value: {"candidate_count": value},
    "logprobs": lambda _: {"response_logprobs": True, "logprobs": 2},
    "reasoning_budget": lambda value: {"thinking_config": {"thinking_budget": value}},
    "reasoning_effort": lambda value: {"thinking_config": {"thinking_level": value}},
    "shows_reasoning": lambda _: {
        "thinking_config": {"thinking_budget": BUDGET, "include_thoughts": True}
    },
    "json_mode": lambda _: {"response_mime_type": "application/json"},
    "json_schema": lambda schema: {
        "response_mime_type": "application/json",
        "response_json_schema": schema,
    },
}

FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"),
        "content_filter",
    ),
}


class GeminiDriver(Driver):
    """Speaks to the origin; the SDK adds ``/v1beta``."""

    protocol = "gemini"
    says = frozenset(OPTIONS)

    def __init__(self, origin: str) -> None:
        super().__init__()
        hooks: Any = {"response": [self.noted]}
        self.http = httpx.Client(trust_env=False, timeout=PATIENCE, event_hooks=hooks)
        options = types.HttpOptions(
            base_url=origin,
            httpx_client=self.http,
            retry_options=types.HttpRetryOptions(attempts=1),
        )
        self.client = genai.Client(api_key=KEY, http_options=options)

    def close(self) -> None:
        """Closes the client."""
        self.client.close()
        self.http.close()

    def open(self, prompt: Prompt, model: str) -> Any:
        """A stream of responses."""
        contents, config = request(prompt)
        return self.client.models.generate_content_stream(
            model=model, contents=contents, config=config
        )

    def whole(self, prompt: Prompt, model: str) -> Outcome:
        """A response."""
        contents, config = request(prompt)
        answer = self.client.models.generate_content(model=model, contents=contents, config=config)
        builder = GeminiBuilder()
        builder.add(answer)
        return builder.outcome(is_whole=True)

    def builder(self) -> GeminiBuilder:
        """For one stream."""
        return GeminiBuilder()

    def failure(self, error: Exception) -> Failure | None:
        """What an error says."""
        if not isinstance(error, errors.APIError):
            return None
        response: Any = error.response
        headers = getattr(response, "headers", None) or {}
        return Failure(
            error=type(error).__name__,
            status=error.code,
            words=(error.status,) if error.status else (),
            message=error.message or "",
            retry_after=headers.get("retry-after"),
            body=error.details,
        )


# ---------------------------------------------------------------- asking


def request(prompt: Prompt) -> tuple[Any, types.GenerateContentConfig]:
    """The contents and the configuration."""
    functions = [_tool(tool) for tool in prompt.tools]
    http = types.HttpOptions(
        headers=dict(prompt.headers) or None, extra_body=dict(prompt.raw) or None
    )
    fields = {
        "system_instruction": prompt.system or None,
        "tools": [types.Tool(function_declarations=functions)] if functions else None,
        "tool_config": _choice(prompt),
        "http_options": http,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
    }
    config = types.GenerateContentConfig(**given(fields), **placed(prompt.options, OPTIONS))
    return [_content(turn) for turn in prompt.turns], config


def _content(turn: Turn) -> types.Content:
    parts: list[types.Part] = []
    for part in turn.parts:
        parts += part.native.parts or [] if isinstance(part, Replay) else [_part(part)]
    return types.Content(role="model" if turn.role == "assistant" else "user", parts=parts)


def _part(part: Part) -> types.Part:
    match part:
        case Text(text):
            return types.Part(text=text)
        case Link(url):
            return types.Part.from_uri(file_uri=url, mime_type="image/png")
        case Media():
            return types.Part.from_bytes(data=part.data, mime_type=part.mime)
        case Call():
            call = types.FunctionCall(id=part.id, name=part.name, args=part.arguments)
            return types.Part(function_call=call)
        case Result():
            return types.Part(function_response=_result(part))
        case _:
            raise AssertionError(part)


def _result(result: Result) -> types.FunctionResponse:
    response = result.value if isinstance(result.value, dict) else {"result": result.value}
    if result.is_error:
        response = {"error": result.value}
    images = [
        types.FunctionResponsePart.from_bytes(data=image.data, mime_type=image.mime)
        for image in result.images
    ]
    return types.FunctionResponse(
        id=result.call_id or None, name=result.name, response=response, parts=images or None
    )


def _tool(tool: Any) -> types.FunctionDeclaration:
    return types.FunctionDeclaration(
        name=tool.name, description=tool.description, parameters_json_schema=tool.schema
    )


MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def _choice(prompt: Prompt) -> types.ToolConfig | None:
    choice = prompt.tool_choice
    if choice is None:
        return None
    names = None
    if isinstance(choice, Named):
        mode, names = "ANY", [choice.name]
    elif isinstance(choice, Allowed):
        mode = "VALIDATED" if choice.mode == "auto" else "ANY"
        names = list(choice.names)
    else:
        mode = MODES[choice]
    calling = types.FunctionCallingConfig(
        mode=types.FunctionCallingConfigMode(mode), allowed_function_names=names
    )
    return types.ToolConfig(function_calling_config=calling)


# ---------------------------------------------------------------- reading


class GeminiBuilder:
    """Accumulates the parts of the responses in order, as the SDK's own chats do."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.parts: list[Any] = []
        self.finishes: list[str] = []
        self.complaints: list[str] = []
        self.block: str | None = None

    def add(self, answer: Any) -> None:
        """Takes one response of the stream."""
        self.answers.append(answer)
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
            self.block = answer.prompt_feedback.block_reason.value
        candidates = answer.candidates or []
        if len(candidates) > 1:
            self.complaints.append(f"{len(candidates)} candidates")
        for candidate in candidates:
            content = candidate.content
            parts = (content.parts or []) if content is not None else []
            if self.finishes and parts:
                self.complaints.append("parts after the finish reason")
            if parts and content.role != "model":
                self.complaints.append(f"role {content.role}")
            self.parts += parts
            if candidate.finish_reason is not None:
                self.finishes.append(candidate.finish_reason.value)

    def outcome(self, *, is_whole: bool = False) -> Outcome:
        """The message so far."""
        if len(self.finishes) > 1:
            self.complaints.append(f"several finish reasons: {self.finishes}")
        thoughts = [part for part in self.parts if part.thought]
        said = [part for part in self.parts if not part.thought]
        calls = tuple(_calls(self.parts))
        last = self.answers[-1] if self.answers else types.GenerateContentResponse()
        self._check_shells()
        return Outcome(
            text=joined(part.text for part in said),
            reasoning=joined(part.text for part in thoughts),
            calls=calls,
            finish=self._finish(bool(calls)),
            usage=_usage(last.usage_metadata),
            images=tuple(_images(said)),
            proofs=tuple(_proof(p) for p in self.parts if p.thought_signature),
            model=last.model_version or "",
            id=last.response_id or "",
            pieces=0 if is_whole else sum(map(_has_content, self.answers)),
            complaints=tuple(self.complaints),
            native=types.Content(role="model", parts=self.parts),
        )

    def _check_shells(self) -> None:
        for name in ("response_id", "model_version"):
            values = once(getattr(answer, name) for answer in self.answers)
            if self.answers and not isinstance(values, str):
                self.complaints.append(f"{name} is {values}")

    def _finish(self, has_calls: bool) -> str | None:
        if not self.finishes:
            return "content_filter" if self.block else None
        reason = FINISHES.get(self.finishes[0], self.finishes[0])
        return "tool_calls" if has_calls and reason == "stop" else reason


def _has_content(answer: Any) -> bool:
    contents = [candidate.content for candidate in answer.candidates or []]
    parts = [part for content in contents if content for part in content.parts or []]
    return any(part.text or part.function_call or part.inline_data for part in parts)


def _calls(parts: list[Any]) -> Iterator[Called]:
    for part in parts:
        if (call := part.function_call) is not None:
            yield Called(call.id or "", call.name, call.args or {})


def _images(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        if part.inline_data is not None:
            blob = types.Blob(data=part.inline_data.data, mime_type=part.inline_data.mime_type)
            data = blob.model_dump(mode="json")["data"].replace("-", "+").replace("_", "/")
            yield f"data:{blob.mime_type};base64,{data}"
        elif part.file_data is not None:
            yield part.file_data.file_uri


def _proof(part: Any) -> str:
    """As it stood on the wire."""
    return base64.b64encode(part.thought_signature).decode()


def _usage(usage: Any) -> Counted:
    """Gemini's output leaves out the thoughts."""
    if usage is None:
        return Counted()
    output, thoughts = usage.candidates_token_count, usage.thoughts_token_count
    if output is not None or thoughts is not None:
        output = (output or 0) + (thoughts or 0)
    return Counted(
        usage.prompt_token_count, output, usage.cached_content_token_count, None, thoughts
    )
