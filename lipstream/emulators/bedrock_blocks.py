"""The content blocks of a Converse request: what they may hold and what is seen of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
import msgspec

from lipstream.emulators.bedrock_errors import refuse, unmet
from lipstream.emulators.proofs import is_genuine
from lipstream.emulators.reading import Node
from lipstream.emulators.seen import (
    SeenCall,
    SeenMedia,
    SeenPart,
    SeenReasoning,
    SeenResult,
    SeenText,
    decoded_size,
)

CALL_ID = "[a-zA-Z0-9_.:-]+"
TOOL_NAME = "[a-zA-Z0-9_-]+"
LONGEST = 64
"""Characters of an id or a name."""

IMAGES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
DOCUMENTS = ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")
_SOUNDS = "mp3 opus wav aac flac mp4 ogg mkv mka x-aac m4a mpeg mpga pcm webm"
SOUNDS = tuple(_SOUNDS.split())
DOCUMENT_NAME = re.compile(r"(?!.*\s\s)[a-zA-Z0-9\s()\[\]-]{1,200}")

BY_MODEL = frozenset({"toolUse", "reasoningContent"})
OTHERS = frozenset({"cachePoint", "guardContent", "video", "citationsContent", "searchResult"})
"""Blocks that pass unseen."""


def see_block(block: Node, role: str, model: str) -> SeenPart | None:
    """What a block says; None for those that pass unseen."""
    kind = only_field(block)
    if kind in OTHERS:
        return None
    read = _READ.get(kind)
    if read is None:
        raise refuse(f"{block.path}: extraneous key [{kind}] is not permitted")
    if role == "user" and kind in BY_MODEL:
        raise refuse(f"User messages cannot contain {kind} blocks: {block.path}")
    if role == "assistant" and kind not in BY_MODEL and kind != "text":
        raise refuse(f"Assistant messages cannot contain {kind} blocks: {block.path}")
    return read(block.at(kind), model)


def only_field(block: Node) -> str:
    """The one field that a union has."""
    fields = [name for name, _ in block.fields()]
    if len(fields) != 1:
        raise refuse(f"{block.path}: a block holds one of its fields, not {len(fields)}")
    return fields[0]


def check_known(node: Node, known: str) -> None:
    """Refuse fields that are none of these."""
    allowed = known.split()
    for name, _ in node.fields():
        if name not in allowed:
            place = node.path or "the request"
            raise refuse(
                f"Malformed input request: #/{place}: extraneous key [{name}] is not permitted"
            )


def check_name(node: Node, pattern: str) -> str:
    """The string, refused if it does not match or is too long."""
    text = node.text()
    if not re.fullmatch(pattern, text):
        raise unmet(node.path, text, f"satisfy regular expression pattern: {pattern}")
    if len(text) > LONGEST:
        raise unmet(node.path, text, f"have length less than or equal to {LONGEST}")
    return text


def said(node: Node) -> SeenText:
    """Text that says something."""
    text = node.text()
    if not text.strip():
        where = node.path.rpartition(".")[0]
        raise refuse(
            f"The text field in the ContentBlock object at {where} is blank. Add text to the text "
            "field, and try again."
        )
    return SeenText(text)


def _text(node: Node, model: str) -> SeenText:
    return said(node)


def _image(node: Node, model: str) -> SeenMedia:
    check_known(node, "format source")
    form = _one_of(node.need("format"), tuple(IMAGES))
    return _source(node, "image", IMAGES[form])


def _document(node: Node, model: str) -> SeenMedia:
    check_known(node, "format name source context citations")
    form = _one_of(node.need("format"), DOCUMENTS)
    name = node.need("name").text()
    if not DOCUMENT_NAME.fullmatch(name):
        raise refuse(
            "The file name can only contain alphanumeric characters, whitespace characters, "
            "hyphens, parentheses, and square brackets. The name can't contain more than one "
            "consecutive whitespace character."
        )
    return attrs.evolve(_source(node, "document", form), name=name)


def _audio(node: Node, model: str) -> SeenMedia:
    form = _one_of(node.need("format"), SOUNDS)
    return _source(node, "audio", form)


def _source(node: Node, kind: str, media_type: str) -> SeenMedia:
    source = node.need("source")
    field = only_field(source)
    if field == "s3Location":
        return SeenMedia(kind, media_type, source=source.at(field).need("uri").text())
    data = source.need("bytes")
    size = decoded_size(data.text())
    if size <= 0 or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", data.value):
        raise refuse(f"Invalid base64 in {data.path}")
    return SeenMedia(kind, media_type, size)


def _one_of(node: Node, words: tuple[str, ...]) -> str:
    word = node.text()
    if word not in words:
        raise unmet(node.path, word, f"satisfy enum value set: [{', '.join(words)}]")
    return word


def _call(node: Node, model: str) -> SeenCall:
    check_known(node, "toolUseId name input type")
    call_id = check_name(node.need("toolUseId"), CALL_ID)
    if "claude" in model and not re.fullmatch(TOOL_NAME, call_id):
        raise refuse(f"{node.path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    return SeenCall(call_id, check_name(node.need("name"), TOOL_NAME), node.need("input").table())


def _result(node: Node, model: str) -> SeenResult:
    check_known(node, "toolUseId content status type")
    call_id = check_name(node.need("toolUseId"), CALL_ID)
    status = node.text_at("status")
    if status is not None:
        _one_of(node.at("status"), ("success", "error"))
    content = node.need("content")
    texts, media = [], []
    for item in content.items():
        part = _result_part(item, model)
        if isinstance(part, SeenMedia):
            media.append(part)
        elif part is not None:
            texts.append(part)
    if status == "error" and not texts and not media:
        raise refuse(f"{content.path}: content cannot be empty if the status is error")
    return SeenResult(call_id, None, "".join(texts), status == "error", tuple(media))


def _result_part(item: Node, model: str) -> str | SeenMedia | None:
    kind = only_field(item)
    if kind == "text":
        return said(item.at(kind)).text
    if kind == "json":
        return msgspec.json.encode(item.at(kind).table()).decode()
    if kind in ("image", "document"):
        return _image(item.at(kind), model) if kind == "image" else _document(item.at(kind), model)
    if kind not in OTHERS:
        raise refuse(f"{item.path}: extraneous key [{kind}] is not permitted")
    return None


def _reasoning(node: Node, model: str) -> SeenReasoning:
    """Signed by this model, as it is."""
    if only_field(node) == "redactedContent":
        proof = node.at("redactedContent").text()
        if not is_genuine(proof, model, "redacted"):
            raise refuse(f"{node.path}: Invalid `data` in `redacted_thinking` block")
        return SeenReasoning("", proof, is_redacted=True)
    told = node.need("reasoningText")
    text, signature = told.need("text").text(), told.text_at("signature")
    if signature is None or not is_genuine(signature, model, text):
        raise refuse(f"{node.path}: Invalid `signature` in `thinking` block")
    return SeenReasoning(text, signature)


_READ: dict[str, Callable[[Node, str], SeenPart]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "audio": _audio,
    "toolUse": _call,
    "toolResult": _result,
    "reasoningContent": _reasoning,
}
