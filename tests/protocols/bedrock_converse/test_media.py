"""Images and documents of calls."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lipstream.canonical.parts import File, Image, Part, Text, ToolCall, ToolResult
from lipstream.errors import BadRequest
from tests.protocols.bedrock_converse.building import HELLO, assistant, body, call, user
from tests.protocols.bedrock_converse.service_model import complaints
from tests.protocols.bedrock_converse.test_requests import results

PDF = base64.b64encode(b"%PDF-1.4").decode()
WORDS = base64.b64encode(b"some words").decode()
BYTES = base64.b64encode(b"\0\1\2\xff").decode()
OFFICE = "application/vnd.openxmlformats-officedocument"


def blocks(*parts: Part) -> list[Any]:
    """The blocks of a question, which the service's model allows."""
    sent = body(call(user(*parts)))
    assert complaints(sent) == []
    (turn,) = sent["messages"]
    found: list[Any] = turn["content"]
    return found


@pytest.mark.parametrize(
    ("mime", "form"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpeg"),
        ("image/jpg", "jpeg"),
        ("IMAGE/GIF", "gif"),
        ("image/webp", "webp"),
        ("", "png"),
    ],
)
def test_image_is_sent_by_its_format(mime: str, form: str) -> None:
    """Its bytes as they are; of a type that is not told, what they begin like, else png."""
    expected = {"image": {"format": form, "source": {"bytes": "QUJD"}}}
    assert blocks(Image(f"data:{mime};base64,QUJD")) == [expected]


def test_image_of_an_untold_type_is_what_it_begins_like() -> None:
    """By its first bytes; percent-encoded data are bytes, too."""
    (block,) = blocks(Image("data:;base64,/9j/4AAQ"))
    assert block["image"]["format"] == "jpeg"
    (block,) = blocks(Image("data:image/gif,GIF89a%01"))
    assert base64.b64decode(block["image"]["source"]["bytes"]) == b"GIF89a\x01"


def test_objects_in_s3_are_sent_by_their_uri() -> None:
    """With the format that their name says."""
    image, document, odd = blocks(
        Image("s3://bucket/a.JPG"), File(url="s3://bucket/x/my report.docx"), Image("s3://bucket/a")
    )[:3]
    source = {"s3Location": {"uri": "s3://bucket/a.JPG"}}
    assert image == {"image": {"format": "jpeg", "source": source}}
    assert document["document"]["name"] == "my report"
    assert document["document"]["format"] == "docx"
    assert odd["image"]["format"] == "png"


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (Image("https://x/a.png"), "unsupported_url"),
        (Image("data:image/bmp;base64,QUJD"), "unsupported_image"),
        (File(url="https://x/a.pdf"), "unsupported_url"),
        (File(id="file-1"), "unsupported_file"),
        (File("data:application/zip;base64,QUJD"), "unsupported_file"),
        (File(f"data:application/octet-stream;base64,{BYTES}"), "unsupported_file"),
        (File("data:;base64,!!!"), "unsupported_file"),
        (File(""), "unsupported_url"),
    ],
)
def test_what_the_service_cannot_read_is_refused(part: Part, code: str) -> None:
    """Another candidate may."""
    with pytest.raises(BadRequest) as caught:
        body(call(user(Text("a"), part)))
    assert (caught.value.param, caught.value.code) == ("messages[0].content[1]", code)


@pytest.mark.parametrize(
    ("data", "name", "form"),
    [
        (f"data:application/pdf;base64,{PDF}", "", "pdf"),
        (PDF, "", "pdf"),
        (WORDS, "notes.md", "md"),
        (WORDS, "", "txt"),
        (f"data:text/plain;charset=utf-8;base64,{WORDS}", "a.py", "txt"),
        (f"data:text/plain;base64,{WORDS}", "a.csv", "csv"),
        (f"data:text/x-python;base64,{WORDS}", "a.py", "txt"),
        (f"data:text/csv;base64,{WORDS}", "", "csv"),
        (f"data:text/html;base64,{WORDS}", "", "html"),
        (f"data:text/markdown;base64,{WORDS}", "", "md"),
        (f"data:application/json;base64,{WORDS}", "a.json", "txt"),
        (f"data:application/msword;base64,{WORDS}", "", "doc"),
        (f"data:application/vnd.ms-excel;base64,{WORDS}", "", "xls"),
        (f"data:{OFFICE}.wordprocessingml.document;base64,{WORDS}", "", "docx"),
        (f"data:{OFFICE}.spreadsheetml.sheet;base64,{WORDS}", "", "xlsx"),
        (f"data:application/octet-stream;base64,{BYTES}", "a.xlsx", "xlsx"),
    ],
)
def test_document_has_a_format(data: str, name: str, form: str) -> None:
    """By its type, the end of its name, its first bytes."""
    block = blocks(Text("a"), File(data, name=name))[1]
    assert block["document"]["format"] == form


def test_file_that_is_an_image_is_one() -> None:
    """Documents are something else."""
    (block,) = blocks(File("data:image/png;base64,QUJD", name="a.png"))
    assert block["image"]["format"] == "png"


def test_names_of_documents_have_few_letters_and_differ() -> None:
    """In the whole request; endings that say the format go."""
    url = f"data:application/pdf;base64,{PDF}"
    long = "x" * 300 + ".pdf"
    names = ("a.b_c.pdf", "a b c", "", "été.v2", long, long, "..", "(1) [2]-3.PDF")
    parts = [File(url, name=name) for name in names]
    found = [block["document"]["name"] for block in blocks(Text("a"), *parts)[1:]]
    assert found == [
        "a b c",
        "a b c (2)",
        "document",
        "t v2",
        "x" * 200,
        "x" * 196 + " (2)",
        "document (2)",
        "(1) [2]-3",
    ]


def test_document_is_not_sent_without_words() -> None:
    """The service wants some beside it."""
    assert blocks(File(PDF))[1] == {"text": "."}


def test_document_in_a_result_stays_there() -> None:
    """And its name is one of the request's."""
    url = f"data:application/pdf;base64,{PDF}"
    sent = body(
        call(
            HELLO,
            user(File(url, name="a.pdf")),
            assistant(ToolCall("a", "f", "{}")),
            *results(ToolResult("a", (File(url, name="a.pdf"),))),
        )
    )
    assert complaints(sent) == []
    (block,) = sent["messages"][2]["content"]
    assert block["toolResult"]["content"][0]["document"]["name"] == "a (2)"
