"""A call as the blocks of a prompt: what was said, in order, without telling who said it.

An agent takes a prompt and keeps the conversation itself, so there are no roles. It brings tools of
its own and takes none: a call that has tools, or has had some, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lipstream.canonical.call import Call, Message
from lipstream.canonical.losses import NOTIONS, Fate, Support
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.turns import INSTRUCTING
from lipstream.errors import BadRequest
from lipstream.framing.data_url import sniffed, split_data_url
from lipstream.protocols.acp.wire import Fields

SUPPORT: Support = dict.fromkeys(NOTIONS, Fate.DROPPED) | {
    "json_object": Fate.REFUSED,
    "json_schema": Fate.REFUSED,
    "tools": Fate.REFUSED,
    "custom_tools": Fate.REFUSED,
    "strict_tools": Fate.REFUSED,
    "image": Fate.MAPPED,
    "remote_image": Fate.MAPPED,
    "file": Fate.MAPPED,
    "audio": Fate.REFUSED,
    "tool_history": Fate.REFUSED,
    "tool_error": Fate.REFUSED,
    "tool_media": Fate.REFUSED,
}


def encode_prompt(call: Call) -> list[Fields]:
    """The blocks of ``session/prompt``.

    Raises:
        BadRequest: the call holds something that an agent cannot be told.
    """
    if call.tools:
        raise _unsupported("tools", "an agent takes no tools", param="tools")
    if call.options.output_format is not None:
        raise _unsupported("structured_output", "an agent's answer has no schema")
    leading = _count_leading(call.messages)
    joined = "\n\n".join(text for message in call.messages[:leading] for text in _texts(message))
    blocks = [_text(joined)] if joined else []
    for message in call.messages[leading:]:
        blocks += _blocks(message)
    if not blocks:
        raise _unsupported("prompt", "the prompt is empty")
    return blocks


def _count_leading(messages: Sequence[Message]) -> int:
    """How many messages at the beginning are instructions."""
    others = (at for at, message in enumerate(messages) if message.role not in INSTRUCTING)
    return next(others, len(messages))


def _texts(message: Message) -> Iterator[str]:
    return (part.text for part in message.parts if isinstance(part, Text) and part.text)


def _blocks(message: Message) -> list[Fields]:
    blocks = [block for part in message.parts for block in _blocks_of(part)]
    if not blocks and message.role not in INSTRUCTING:
        raise _unsupported("message", f"a message of the {message.role.value} has nothing to say")
    return blocks


def _blocks_of(part: Part) -> Iterator[Fields]:
    if isinstance(part, Text | Refusal) and part.text:
        yield _text(part.text)
    elif isinstance(part, Image):
        yield _resource(part.url)
    elif isinstance(part, File):
        yield _resource(part.url or _data_url(part.data) or part.id, part.name)
    elif isinstance(part, ToolCall | ToolResult):
        raise _unsupported("tool_history", "an agent has tools of its own, not the client's")
    elif isinstance(part, Audio):
        raise _unsupported("audio", "an agent cannot listen")


def _text(text: str) -> Fields:
    return {"type": "text", "text": text}


def _resource(uri: str, name: str = "") -> Fields:
    resource: Fields = {"uri": uri}
    kind = split_data_url(uri)[0] if uri.startswith("data:") else ""
    if kind:
        resource["mimeType"] = kind
    if name:
        resource["text"] = name
    return {"type": "resource", "resource": resource}


def _data_url(data: str) -> str:
    if not data or data.startswith("data:"):
        return data
    return f"data:{sniffed(data) or 'application/octet-stream'};base64,{data}"


def _unsupported(what: str, message: str, *, param: str | None = None) -> BadRequest:
    return BadRequest(message, param=param, code=f"unsupported_{what}")
