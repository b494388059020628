"""A backend that is asked over HTTP in one of the wire dialects.

What it is asked with is decided here: the protocol, the body, the headers and the key. What comes
of it, and what goes wrong on the way, is ``http_exchange``'s; which key follows which is
``rotation``'s. Nothing here knows a provider: what one does differently it says in its quirks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import httpx

from lipstream.canonical.abilities import ANYTHING, Abilities
from lipstream.canonical.call import Call
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.losses import losses
from lipstream.canonical.secret import Secret
from lipstream.errors import UpstreamFault
from lipstream.interfaces import ClientDialect, StreamDecoder
from lipstream.upstream.client import Client, Origin, Request, origin_of
from lipstream.upstream.credentials import Credential, CredentialPool
from lipstream.upstream.http_exchange import (
    HttpAnswer,
    Opened,
    ReadError,
    WholeDecoder,
    codec,
    read_whole,
    send,
)
from lipstream.upstream.quirks import NONE, Quirks, patched
from lipstream.upstream.rotation import Keys
from lipstream.upstream.seals import SealMemory

BEARER = "authorization"
LOOK_BYTES = 16 * 2**20  # of what is looked at beside the requests

EncodedHead = list[tuple[bytes, bytes]]


@attrs.frozen(eq=False, kw_only=True)
class HttpBackend:
    """One configured upstream.

    Attributes:
        base_url: What the dialect's paths are appended to, without a slash at its end.
        dialect: The protocol that it speaks with clients of any other.
        other_dialects: What it speaks beside that, with clients of the same.
        api_key: The only key, where there is no pool.
        pool: Its keys. Without any none is sent.
        key_header: The header of the key: ``authorization`` for a bearer token, or its own.
        headers: Sent with every request, over our own of the same name.
        models: Models known without asking.
        prefills: See ``interfaces.Backend``.
        abilities: See ``interfaces.Backend``.
        seals: The process's memory of what came from where.
    """

    id: str
    base_url: str
    dialect: ClientDialect
    client: Client
    other_dialects: Sequence[ClientDialect] = ()
    api_key: Secret | None = None
    pool: CredentialPool | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    models: Sequence[str] = ()
    key_header: str = BEARER
    prefills: bool = False
    abilities: Abilities = ANYTHING
    quirks: Quirks = attrs.field(default=NONE, repr=False)
    seals: SealMemory = attrs.field(factory=SealMemory, repr=False)
    _keys: CredentialPool | None = attrs.field(init=False, repr=False)
    _origin: Origin = attrs.field(init=False, repr=False)
    _path: str = attrs.field(init=False, repr=False)
    _head: Mapping[str, str] = attrs.field(init=False, repr=False)
    _encoded_head: EncodedHead = attrs.field(init=False, repr=False)

    @_keys.default
    def _make_keys(self) -> CredentialPool | None:
        if self.pool is not None or self.api_key is None:
            return self.pool
        return CredentialPool([Credential(id="c0", secret=self.api_key)])

    @_origin.default
    def _parse_origin(self) -> Origin:
        return origin_of(httpx.URL(self.base_url))

    @_path.default
    def _parse_path(self) -> str:
        return httpx.URL(self.base_url).raw_path.decode("ascii").rstrip("/")

    @_head.default
    def _make_head(self) -> Mapping[str, str]:
        head = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        return head | {name.lower(): value for name, value in self.headers.items()}

    @_encoded_head.default
    def _encode_head(self) -> EncodedHead:
        return _encoded(self._head)

    @property
    def dialects(self) -> Mapping[str, ClientDialect]:
        """What it speaks, by name, in order of preference."""
        return {dialect.name: dialect for dialect in (self.dialect, *self.other_dialects)}

    @property
    def speaks(self) -> str:
        """The protocol that it speaks with clients of any other."""
        return self.dialect.name

    def dropped(self, call: Call) -> Sequence[str]:
        """What of the call its protocol has no place for."""
        dialect, carried = self._dialect_for(call), self.quirks.carried
        lost = losses(call, dialect.name, dialect.support)
        if carried is None or not lost:
            return lost
        kept = carried(call)
        return [name for name in lost if name not in kept]

    async def open(self, call: Call, candidate: Candidate) -> HttpAnswer:
        """Sends the call; see ``interfaces.Backend``."""
        origin = f"{self.id}:{candidate.model}"
        with codec():
            dialect = self._dialect_for(call)
            model = self.wire_model(candidate.model)
            is_streaming = call.is_streaming
            call = self.seals.addressed(call, origin)
            body = dialect.encode_request(call, model, is_streaming=is_streaming)
            patch = self.quirks.patch_body
            if patch is not None and (self.quirks.patches_own or call.dialect != dialect.name):
                body = patched(body, call, model, patch)
            path = dialect.path(model, is_streaming=is_streaming)
            head = self._head_of(call, dialect)
        read_error = self._error_reader(dialect)

        async def ask(key: Secret | None) -> Opened:
            request = self._request(path, head, body, key)
            return await send(self.client, self._origin, request, read_error, self.quirks.poll)

        def decoder() -> StreamDecoder:
            sealer = self.seals.sealer(origin)
            return dialect.stream_decoder(sealer) if is_streaming else WholeDecoder(dialect, sealer)

        return await HttpAnswer(ask, decoder, Keys(self._keys, self.id)).open()

    async def forward(self, path: str, body: bytes, dialect: str | None = None) -> bytes:
        """Posts a body as it is to a path below the base URL; returns the whole answer.

        For requests that are no exchange of messages: embeddings, token counts.

        Args:
            dialect: The protocol that the request belongs to, one of :attr:`dialects`.

        Raises:
            UpstreamFault: the answer is none, or not a 200.
        """
        spoken = self.dialect if dialect is None else self.dialects[dialect]
        head = _encoded({**dict(spoken.headers(None)), **self._head})
        read_error = self._error_reader(spoken)

        async def ask(key: Secret | None) -> bytes:
            request = self._request(path, head, body, key)
            response, _ = await send(self.client, self._origin, request, read_error)
            return await read_whole(response)

        keys = Keys(self._keys, self.id)
        try:
            return await keys.first(ask)
        finally:
            keys.end()

    async def look(self, path: str) -> bytes:
        """What a GET of a path below the base URL answers; for lists of models.

        It is in no client's way: it waits for no key and says nothing of the one it is asked with.

        Raises:
            UpstreamFault: the answer is none, or not a 200.
        """
        key = None if self._keys is None else self._keys.peek()
        head = _encoded({**dict(self.dialect.headers(None)), **self._head})
        request = self._request(path, head, b"", key)._replace(method=b"GET")
        read_error = self._error_reader(self.dialect)
        response, _ = await send(self.client, self._origin, request, read_error)
        return await read_whole(response, LOOK_BYTES)

    def wire_model(self, model: str) -> str:
        """The model's name as the provider has it."""
        return model if self.quirks.model is None else self.quirks.model(model)

    # -- what is sent

    def _dialect_for(self, call: Call) -> ClientDialect:
        """The protocol of a call: the provider's choice, else the call's own where it is spoken."""
        if not self.other_dialects:
            return self.dialect
        choose, spoken = self.quirks.resolve_dialect, self.dialects
        chosen = None if choose is None else choose(call)
        return spoken.get(chosen or "") or spoken.get(call.dialect) or self.dialect

    def _head_of(self, call: Call, dialect: ClientDialect) -> EncodedHead:
        """The headers of one request, but for the key: a dialect's own never replace a configured
        one, a quirk's do."""
        own, more = dialect.headers(call), self.quirks.headers
        if not own and more is None:
            return self._encoded_head
        head = {**dict(own), **self._head}
        if more is not None:
            head |= {name.lower(): value for name, value in more(call)}
            if self._keys is not None and self.key_header not in self._head:
                head.pop(self.key_header, None)  # the key's own comes with the key
        return _encoded(head)

    def _request(self, path: str, head: EncodedHead, body: bytes, key: Secret | None) -> Request:
        target = (self._path + path).encode("ascii")
        if key is not None and self.key_header not in self._head:
            text = key.reveal()
            shown = f"Bearer {text}" if self.key_header == BEARER else text
            head = [*head, (self.key_header.encode("ascii"), shown.encode("utf-8"))]
        return Request(b"POST", target, head, body)

    def _error_reader(self, dialect: ClientDialect) -> ReadError:
        theirs = self.quirks.read_error
        if theirs is None:
            return dialect.decode_error

        def read(status: int, headers: dict[str, str], body: bytes) -> UpstreamFault:
            return theirs(status, headers, body) or dialect.decode_error(status, headers, body)

        return read


def _encoded(head: Mapping[str, str]) -> EncodedHead:
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in head.items()]
