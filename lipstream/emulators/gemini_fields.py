"""Every field of a Gemini request, as a table, and the check that there is no other.

Names are taken in both spellings, ``systemInstruction`` and ``system_instruction``; what comes out
has the first one. null means nothing, and one object will do for a list, as in all of Google's
JSON.
https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import re
from typing import Any

from lipstream.emulators.gemini_errors import fault
from lipstream.emulators.reading import Refused

ANY: dict[str, Any] = {}
"""Not looked into."""

Shape = dict[str, Any]


def _any(names: str) -> Shape:
    return dict.fromkeys(names.split(), ANY)


SCHEMA: Shape = _any(
    "type format title description nullable enum maxItems minItems required minProperties "
    "maxProperties minLength maxLength pattern example propertyOrdering default minimum maximum"
)
SCHEMA |= {"items": SCHEMA, "anyOf": [SCHEMA], "properties": ("map", SCHEMA)}

_BLOB = _any("mimeType data displayName")
_FILE = _any("mimeType fileUri displayName")
_MEDIA: Shape = {"inlineData": _BLOB, "fileData": _FILE}

PART: Shape = {
    **_any("text thought thoughtSignature partMetadata mediaResolution videoMetadata"),
    **_MEDIA,
    "functionCall": _any("id name args partialArgs willContinue"),
    "functionResponse": {
        **_any("id name response willContinue scheduling"),
        "parts": [_MEDIA],
    },
    "executableCode": _any("id language code"),
    "codeExecutionResult": _any("id outcome output"),
    "toolCall": ANY,
    "toolResponse": ANY,
}
CONTENT: Shape = {"role": ANY, "parts": [PART]}

FUNCTION: Shape = {
    **_any("name description behavior parametersJsonSchema responseJsonSchema"),
    "parameters": SCHEMA,
    "response": SCHEMA,
}
TOOL: Shape = {
    **_any(
        "googleSearch googleSearchRetrieval codeExecution urlContext googleMaps fileSearch "
        "computerUse mcpServers"
    ),
    "functionDeclarations": [FUNCTION],
}
GENERATION: Shape = {
    **_any(
        "stopSequences responseMimeType responseJsonSchema _responseJsonSchema responseModalities "
        "candidateCount maxOutputTokens temperature topP topK seed presencePenalty "
        "frequencyPenalty responseLogprobs logprobs enableEnhancedCivicAnswers speechConfig "
        "imageConfig mediaResolution"
    ),
    "responseSchema": SCHEMA,
    "thinkingConfig": _any("includeThoughts thinkingBudget thinkingLevel"),
}
REQUEST: Shape = {
    **_any("model cachedContent serviceTier store labels"),
    "contents": [CONTENT],
    "systemInstruction": CONTENT,
    "tools": [TOOL],
    "toolConfig": {
        "functionCallingConfig": _any("mode allowedFunctionNames streamFunctionCallArguments"),
        **_any("retrievalConfig includeServerSideToolInvocations"),
    },
    "safetySettings": [_any("category threshold method")],
    "generationConfig": GENERATION,
}
COUNT: Shape = {"contents": [CONTENT], "generateContentRequest": REQUEST, "model": ANY}
EMBED: Shape = {**_any("model taskType title outputDimensionality"), "content": CONTENT}
BATCH: Shape = {"requests": [EMBED], "model": ANY}


def normalise(body: Any, shape: Shape) -> dict[str, Any]:
    """The body with one spelling of every name, nulls left out, lists where lists belong.

    Raises:
        Refused: It is no object, or has fields that the API does not know.
    """
    if not isinstance(body, dict):
        raise Refused(fault("Invalid JSON payload received. Expected an object."))
    unknown: list[tuple[str, str]] = []
    found = _object(body, shape, "", unknown)
    if unknown:
        lines = [_line(name, path) for name, path in unknown]
        violations = [
            {"field": path, "description": line} if path else {"description": line}
            for line, (_, path) in zip(lines, unknown, strict=True)
        ]
        details = {"@type": "type.googleapis.com/google.rpc.BadRequest"}
        raise Refused(fault("\n".join(lines), [{**details, "fieldViolations": violations}]))
    return found


def _line(name: str, path: str) -> str:
    where = f" at '{path}'" if path else ""
    return f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'


def _object(
    value: dict[str, Any], shape: Shape, path: str, unknown: list[tuple[str, str]]
) -> dict[str, Any]:
    found = {}
    for name, item in value.items():
        key = camel(name)
        if key not in shape:
            unknown.append((name, path))
        elif item is not None:
            where = f"{path}.{snake(key)}" if path else snake(key)
            found[key] = _value(item, shape[key], where, unknown)
    return found


def _value(value: Any, shape: Any, path: str, unknown: list[tuple[str, str]]) -> Any:
    if shape is ANY:
        return value
    if isinstance(shape, list):
        items = value if isinstance(value, list) else [value]
        return [
            _value(item, shape[0], f"{path}[{index}]", unknown) for index, item in enumerate(items)
        ]
    if not isinstance(value, dict):
        where = f"Invalid value at '{path}': {value!r} is not an object."
        raise Refused(fault(where))
    if isinstance(shape, tuple):
        return {
            name: _value(item, shape[1], f"{path}[{index}].value", unknown)
            for index, (name, item) in enumerate(value.items())
        }
    return _object(value, shape, path, unknown)


def camel(name: str) -> str:
    """``max_output_tokens`` as ``maxOutputTokens``; a leading underscore stays."""
    return re.sub(r"(?<=[a-zA-Z0-9])_([a-z])", lambda match: match[1].upper(), name)


def snake(name: str) -> str:
    """``maxOutputTokens`` as ``max_output_tokens``."""
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)
