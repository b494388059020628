"""What Gemini's API sees in a request and what it refuses.

https://ai.google.dev/api/generate-content, and for signatures
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from lipstream.emulators.gemini_errors import GeminiWords, refuse
from lipstream.emulators.gemini_fields import COUNT, REQUEST, normalise
from lipstream.emulators.proofs import is_genuine
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    Role,
    Seen,
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenResult,
    SeenText,
    SeenTool,
    decoded_size,
    inline,
    kind_of,
    standard,
    turns_of,
)

ACCEPTED_PROOFS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What history from elsewhere may carry in the place of a signature."""

TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")

WRAPPERS = ("result", "output", "content")
"""A response with this field alone stands for what is in it."""

UNEQUAL = (
    "Please ensure that the number of function response parts is equal to the number of function "
    "call parts of the function call turn."
)
NO_CALL_BEFORE = (
    "Please ensure that function response turn comes immediately after a function call turn."
)
NO_USER_BEFORE = (
    "Please ensure that function call turn comes immediately after a user turn or after a function "
    "response turn."
)
NO_PROOF = (
    "Function call is missing a thought_signature in functionCall parts. This is required for "
    "tools to work correctly, and missing thought_signature may lead to degraded model "
    "performance. Additional data, function call `default_api:{}` , position {}. Please refer to "
    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)
BAD_PROOF = "Thought signature is not valid"

Said = list[tuple[Role, list[SeenPart]]]


def wants_signatures(model: str) -> bool:
    """Whether the model insists on its signatures (and gives its calls ids)."""
    return model.startswith("gemini-3")


def see_generate(body: Any) -> Seen:
    """The content of a generateContent request; signatures are not checked here.

    Raises:
        Refused: The provider would answer 400.
    """
    return _see(normalise(body, REQUEST))


def see_count(body: Any) -> Seen:
    """The content of a countTokens request, which may wrap a whole one.

    Raises:
        Refused: The provider would answer 400.
    """
    fields = normalise(body, COUNT)
    return _see(fields.get("generateContentRequest", fields))


def _see(fields: dict[str, Any]) -> Seen:
    root = Node(fields, "", GeminiWords())
    contents = root.at("contents").items()
    if not contents:
        raise refuse("* GenerateContentRequest.contents: contents is not specified\n")
    said = [(_role(content), _parts(content)) for content in contents]
    _check_turns(said)
    system = root.at("systemInstruction")
    texts = [] if system.is_missing else [part.text_at("text") for part in _needed_parts(system)]
    spoken = [(role, part) for role, parts in said for part in parts]
    tools = tuple(_tools(root))
    return Seen("\n\n".join(filter(None, texts)), turns_of(spoken), tools, _options(root))


def check_signatures(body: Any, model: str) -> None:
    """Refuse signatures of other models, and their absence where the model insists.

    Raises:
        Refused: As the provider does.
    """
    contents = Node(normalise(body, REQUEST), "", GeminiWords()).at("contents").items()
    current = _current_turn(contents)
    calls = 0  # of the step, which may be told in several contents of the model's
    for index, content in enumerate(contents):
        if _role(content) == "user":
            calls = 0
        for part in content.at("parts").items():
            proof, call = part.at("thoughtSignature"), part.at("functionCall")
            name = "" if call.is_missing else call.need("name").text()
            if not proof.is_missing:
                _check_proof(proof, model, name)
            elif name and not calls and index >= current and wants_signatures(model):
                raise refuse(NO_PROOF.format(name, index + 1))
            calls += bool(name)


def _check_proof(proof: Node, model: str, name: str) -> None:
    text = proof.text()
    if text in ACCEPTED_PROOFS:
        return
    if decoded_size(text) < 0:
        path = proof.path.replace("thoughtSignature", "thought_signature")
        message = f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{text}\""
        raise refuse(message)
    if not is_genuine(standard(text), model, name):
        raise refuse(BAD_PROOF)


def _current_turn(contents: list[Node]) -> int:
    """Where the user last spoke: what comes after it belongs to the running turn."""
    for index in range(len(contents) - 1, -1, -1):
        content = contents[index]
        parts = content.at("parts").items()
        if content.value.get("role", "user") == "user" and any(
            part.at("functionResponse").is_missing for part in parts
        ):
            return index
    return 0


# ---------------------------------------------------------------- contents


def _role(content: Node) -> Role:
    role = content.value.get("role") or "user"
    if role not in ("user", "model", "function"):
        raise refuse("Please use a valid role: user, model.")
    return "assistant" if role == "model" else "user"


def _needed_parts(content: Node) -> list[Node]:
    parts = content.at("parts").items()
    if not parts:
        where = "system_instruction" if content.path == "systemInstruction" else content.path
        raise refuse(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.\n")
    return parts


def _parts(content: Node) -> list[SeenPart]:
    return [seen for part in _needed_parts(content) for seen in _part(part)]


def _part(part: Node) -> Iterator[SeenPart]:
    fields = part.value
    proof = part.text_at("thoughtSignature")
    kinds = [name for name in _CONTENT if name in fields]
    if not kinds and not proof:
        path = f"{part.path}.data".replace("contents.", "contents")
        raise refuse(
            f"* GenerateContentRequest.{path}: required oneof field 'data' must have one "
            "initialized field\n"
        )
    if len(kinds) > 1:
        what = f"oneof field 'data' is already set. Cannot set '{kinds[1]}'"
        raise refuse(f"Invalid value at '{part.path}' (oneof), {what}")
    if "text" in fields:
        text = part.at("text").text()
        if fields.get("thought") is True:
            yield SeenReasoning(text, proof)
        elif text:
            yield SeenText(text)
    elif "functionCall" in fields:
        yield _call(part.at("functionCall"), proof)
    elif "functionResponse" in fields:
        yield _result(part.at("functionResponse"))
    elif "inlineData" in fields or "fileData" in fields:
        yield _media(part)


_CONTENT = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)


def _call(call: Node, proof: str | None) -> SeenCall:
    arguments = call.at("args")
    given = {} if arguments.is_missing else arguments.table()
    return SeenCall(call.text_at("id"), _name(call, "function_call"), given, proof)


def _name(node: Node, kind: str) -> str:
    name = node.at("name")
    if name.is_missing or not name.text():
        path = node.path.replace("functionCall", kind).replace("functionResponse", kind)
        raise refuse(f"* GenerateContentRequest.{path}.name: Name cannot be empty.\n")
    return name.text()


def _result(result: Node) -> SeenResult:
    name = _name(result, "function_response")
    response = result.need("response").table()
    media = tuple(_media(part) for part in result.at("parts").items())
    is_error = "error" in response
    text = response
    if len(response) == 1:
        ((key, value),) = response.items()
        text = value if key in (*WRAPPERS, "error") else response
    return SeenResult(result.text_at("id"), name, as_text(text), is_error, media)


def as_text(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _media(part: Node) -> SeenMedia:
    data, file = part.at("inlineData"), part.at("fileData")
    if data.is_missing:
        media_type = file.text_at("mimeType") or ""
        return SeenMedia(kind_of(media_type), media_type, source=file.need("fileUri").text())
    media_type = data.need("mimeType").text()
    media = inline(kind_of(media_type), media_type, data.need("data").text())
    if media.size is not None and media.size < 0:
        path = f"{data.path}.data".replace("inlineData", "inline_data")
        raise refuse(f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed")
    return media


def _check_turns(said: Said) -> None:
    """Calls follow the user or results; results follow calls, all in one content.

    The model's contents in a row are one turn: Google's own client sends back what was streamed to
    it, chunk by chunk.
    """
    asked = 0
    for index, (role, parts) in enumerate(_joined(said)):
        calls, results = _count(parts, SeenCall), _count(parts, SeenResult)
        if calls and (index == 0 or role == "user"):
            raise refuse(NO_USER_BEFORE)
        if results and not asked:
            raise refuse(NO_CALL_BEFORE)
        if results != asked:
            raise refuse(UNEQUAL)
        asked = calls


def _joined(said: Said) -> Said:
    """With the model's contents in a row as one."""
    joined: Said = []
    for role, parts in said:
        if joined and role == joined[-1][0] == "assistant":
            joined[-1] = (role, joined[-1][1] + parts)
        else:
            joined.append((role, parts))
    return joined


def _count(parts: list[SeenPart], kind: type[SeenCall] | type[SeenResult]) -> int:
    return sum(isinstance(part, kind) for part in parts)


# ---------------------------------------------------------------- options

OPTIONS = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "seed": "seed",
    "candidateCount": "n",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
BOUNDS = {"temperature": (0, 2), "topP": (0, 1)}
CHOICES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}


def _tools(root: Node) -> Iterator[SeenTool]:
    names: set[str] = set()
    for tool in root.at("tools").items():
        for declared in tool.at("functionDeclarations").items():
            name = declared.need("name").text()
            path = declared.path.replace("functionDeclarations", "function_declarations")
            if not TOOL_NAME.fullmatch(name):
                raise refuse(
                    f"* GenerateContentRequest.{path}.name: [FIELD_INVALID] Invalid function name. "
                    "Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9),"
                    " underscores (_), dots (.), colons (:), or dashes (-), with a maximum length "
                    "of 128.\n"
                )
            if name in names:
                raise refuse(f"Duplicate function declaration found: {name}")
            names.add(name)
            schema = declared.value.get("parametersJsonSchema", declared.value.get("parameters"))
            yield SeenTool(name, declared.text_at("description") or "", schema)


def _options(root: Node) -> dict[str, Any]:
    config = root.at("generationConfig")
    found: dict[str, Any] = {}
    if not config.is_missing:
        given = config.table()
        found = {ours: given[wire] for wire, ours in OPTIONS.items() if wire in given}
        for name, (low, high) in BOUNDS.items():
            if name in given and not low <= config.at(name).number() <= high:
                raise refuse(
                    f"* GenerateContentRequest.generation_config.{name}: {name} must be in the "
                    f"range [{low}.0, {high}.0].\n"
                )
        found |= _thinking(given.get("thinkingConfig") or {}) | _format(given)
    choice = (root.at("toolConfig").value or {}).get("functionCallingConfig") or {}
    if choice.get("mode"):
        found["tool_choice"] = _choice(choice)
    return found


def _thinking(config: dict[str, Any]) -> dict[str, Any]:
    names = {"thinkingBudget": "reasoning_budget", "includeThoughts": "shows_reasoning"}
    found = {ours: config[wire] for wire, ours in names.items() if wire in config}
    if "thinkingLevel" in config:
        found["reasoning_effort"] = str(config["thinkingLevel"]).lower()
    return found


def _format(config: dict[str, Any]) -> dict[str, Any]:
    for name in ("responseJsonSchema", "_responseJsonSchema", "responseSchema"):
        if name in config:
            return {"json_schema": config[name]}
    return {"json_mode": True} if config.get("responseMimeType") == "application/json" else {}


def _choice(config: dict[str, Any]) -> Any:
    mode, names = str(config["mode"]).upper(), config.get("allowedFunctionNames") or []
    if mode not in CHOICES:
        path = "tool_config.function_calling_config.mode"
        raise refuse(f"Invalid value at '{path}' (TYPE_ENUM), \"{config['mode']}\"")
    return {"name": names[0]} if mode == "ANY" and len(names) == 1 else CHOICES[mode]
