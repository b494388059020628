"""What all drivers have in common.

A driver speaks one official SDK: it says a `Prompt` in the SDK's own words and reads what the SDK
makes of the answer. It knows no proxy: the same driver runs against a provider's emulator.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import attrs

from tests.conformance.outcome import Failure, Outcome, Reply
from tests.conformance.prompt import Media, Prompt

PATIENCE = 20.0
"""Seconds that a client waits at most."""

KEY = "sk-client"


class Stream(Protocol):
    """An open stream as an SDK gives it."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> None: ...


class Builder(Protocol):
    """Puts an answer together out of the events of a stream."""

    def add(self, event: Any) -> None: ...

    def outcome(self) -> Outcome:
        """What has come so far, whole or not."""


class Broken(Exception):
    """The stream told of an error in an event that the SDK hands on like any other."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@attrs.define
class Noted:
    """Keeps the head of the last response that an HTTP client saw."""

    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def __call__(self, response: Any) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}


class Driver:
    """One SDK.

    Attributes:
        protocol: The name of the protocol that it speaks.
        says: The options that it has words for.
    """

    protocol: ClassVar[str]
    says: ClassVar[frozenset[str]]

    def __init__(self) -> None:
        self.noted = Noted()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- for each SDK

    def close(self) -> None:
        """Closes the SDK's client."""
        raise AssertionError("each driver has its own")

    def open(self, prompt: Prompt, model: str) -> Stream:
        """Asks for a stream."""
        raise AssertionError("each driver has its own")

    def whole(self, prompt: Prompt, model: str) -> Outcome:
        """Asks for a whole answer; raises the SDK's errors."""
        raise AssertionError("each driver has its own")

    def builder(self) -> Builder:
        """For one stream."""
        raise AssertionError("each driver has its own")

    def failure(self, error: Exception) -> Failure | None:
        """What one of the SDK's errors says; None for any other exception."""
        raise AssertionError("each driver has its own")

    # ---- for everybody

    def ask(self, prompt: Prompt, model: str, *, is_streaming: bool) -> Reply:
        """Asks and reads the answer to its end."""
        try:
            reply = self._streamed(prompt, model) if is_streaming else self.whole(prompt, model)
        except Broken as broken:
            return broken.failure
        except Exception as error:
            failure = self.failure(error) or broken_off(error)
            if failure is None:
                raise
            return failure
        if isinstance(reply, Outcome):
            return attrs.evolve(reply, headers=self.noted.headers)
        return reply

    def _streamed(self, prompt: Prompt, model: str) -> Reply:
        stream = self.open(prompt, model)
        builder = self.builder()
        try:
            for event in stream:
                builder.add(event)
        except Exception as error:
            failure = error.failure if isinstance(error, Broken) else self.failure(error)
            failure = failure or broken_off(error)
            if failure is None:
                raise
            return attrs.evolve(failure, before=builder.outcome())
        finally:
            stream.close()
        return builder.outcome()


def broken_off(error: Exception) -> Failure | None:
    """An error of the HTTP library under an SDK, of whichever one it uses."""
    if not type(error).__module__.startswith("httpx"):
        return None
    return Failure(type(error).__name__, None, (), str(error))


def data_url(media: Media) -> str:
    """The bytes in a URL."""
    return f"data:{media.mime};base64,{encoded(media)}"


def encoded(media: Media) -> str:
    """The bytes in base64."""
    return base64.b64encode(media.data).decode()


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


def placed(
    options: Mapping[str, Any], table: Mapping[str, Callable[[Any], dict[str, Any]]]
) -> dict[str, Any]:
    """The options in a protocol's words; what several of them say in one place is merged."""
    fields: dict[str, Any] = {}
    for name, value in options.items():
        for key, said in table[name](value).items():
            both = isinstance(said, dict) and isinstance(fields.get(key), dict)
            fields[key] = {**fields[key], **said} if both else said
    return fields


def plain(*names: str) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Options that are called the same and taken as they are."""
    return {name: _as(name) for name in names}


def _as(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: value}


def once(values: Iterable[Any]) -> Any:
    """The one value that all of them are, or all of them."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else different
