"""The checks of one backend: key, way, models, and a tiny request through the very object that
serves clients.

What a check needs of the one before it decides what is skipped; backends are looked at side by
side, and nothing here raises for what a backend does.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import httpx
import trio

from lipstream.canonical import events as e
from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Text
from lipstream.canonical.transport import OPERATIONS, Mode
from lipstream.config.schema import BackendEntry, BedrockEntry, HttpEntry
from lipstream.doctor.findings import Finding, Report, Result, cleaned, fault_finding, secrets_in
from lipstream.doctor.network import reached
from lipstream.errors import FaultKind, LipstreamError, UpstreamFault
from lipstream.interfaces import Backend, Upstream
from lipstream.upstream.client import origin_of
from lipstream.upstream.entries import key_count
from lipstream.upstream.http_backend import HttpBackend
from lipstream.upstream.model_lists import SHAPES, list_models
from lipstream.upstream.provider import RESPONSES
from lipstream.upstream.providers import PROVIDERS

LIST_LIMIT = 15.0  # seconds
PROBE_LIMIT = 60.0  # seconds: a local server may have to load its model first
CLOSE_LIMIT = 1.0  # seconds

_CLIENT = "openai_chat"  # the probe's protocol, as if a client had spoken it
_FEWEST_TOKENS = {RESPONSES: 16}  # by protocol; else one


async def examine(name: str, entry: BackendEntry, backend: Backend, *, is_probed: bool) -> Report:
    """Everything that can be found out about a backend.

    Args:
        is_probed: Whether a request may be sent that costs money.
    """
    if not isinstance(entry, HttpEntry):
        own = Finding("key", Result.OK, "it is lipstream's own, and needs nothing")
        return Report(name, entry.kind, (own,))
    findings = await Examination(name, entry, backend).findings(is_probed)
    secrets = list(secrets_in(entry))
    return Report(name, entry.kind, tuple(cleaned(finding, secrets) for finding in findings))


@attrs.define(eq=False)
class Examination:
    """One backend that is asked over HTTP.

    Attributes:
        found: The models that it says it has.
    """

    name: str
    entry: HttpEntry
    backend: Backend
    found: tuple[str, ...] = ()

    async def findings(self, is_probed: bool) -> list[Finding]:
        """All checks, in order."""
        key = self._key()
        way = await self._way()
        failed = [finding for finding in (key, *way) if finding.result is Result.FAILED]
        if failed:
            why = f"not asked: {failed[0].check} failed"
            return [key, *way, *(Finding(c, Result.SKIPPED, why) for c in ("models", "probe"))]
        models = await self._models()
        if not is_probed:
            return [key, *way, models, Finding("probe", Result.SKIPPED, "not asked for")]
        return [key, *way, models, await self._probe(models)]

    @property
    def _words(self) -> Mapping[str, str]:
        place, variable = f"backends.{self.name}", PROVIDERS[self.entry.kind].key_variable
        key = f"{variable} or {place}.api_key" if variable else f"{place}.api_key"
        return {"place": place, "kind": self.entry.kind, "key": key}

    # ---- the key

    def _key(self) -> Finding:
        count = key_count(self.entry)
        if count:
            return Finding("key", Result.OK, "there is one" if count == 1 else f"there are {count}")
        provider = PROVIDERS[self.entry.kind]
        if provider.key_header in {header.lower() for header in self.entry.headers}:
            return Finding("key", Result.OK, "it is among the configured headers")
        if isinstance(self.entry, BedrockEntry):
            return Finding("key", Result.OK, "the credentials of AWS; the probe tells")
        if not provider.key_variable:
            return Finding("key", Result.OK, "none is configured")
        return Finding("key", Result.FAILED, "there is none", f"set {self._words['key']}")

    # ---- the way

    async def _way(self) -> list[Finding]:
        if self.entry.proxy:
            why = "the proxy finds the way"
            return [Finding(check, Result.SKIPPED, why) for check in ("name", "tcp", "tls")]
        origin = origin_of(httpx.URL(self.entry.base_url or ""))
        return await reached(origin, f"{self._words['place']}.base_url")

    # ---- the models

    async def _models(self) -> Finding:
        backend = self.backend
        if not isinstance(backend, HttpBackend) or backend.speaks not in SHAPES:
            return Finding("models", Result.SKIPPED, "there is no list to ask for")
        began = trio.current_time()
        with trio.move_on_after(LIST_LIMIT):
            try:
                self.found = await list_models(backend)
            except UpstreamFault as fault:
                return self._no_models(fault)
            return attrs.evolve(self._compared(backend), seconds=trio.current_time() - began)
        detail = f"no list in {LIST_LIMIT:g} s"
        return Finding("models", Result.WARNING, detail, "the probe tells whether it matters")

    def _no_models(self, fault: UpstreamFault) -> Finding:
        """Some providers have none; only a refused key is bad for certain."""
        is_bad = fault.kind in (FaultKind.CREDENTIALS, FaultKind.CONNECT)
        result = Result.FAILED if is_bad else Result.WARNING
        return fault_finding("models", fault, self._words, result)

    def _compared(self, backend: HttpBackend) -> Finding:
        count = f"{len(self.found)} model{'' if len(self.found) == 1 else 's'}"
        absent = [
            model for model in self.entry.models if backend.wire_model(model) not in self.found
        ]
        if not absent:
            return Finding("models", Result.OK, count)
        detail = f"{count}; not among them: {', '.join(absent)}"
        advice = f"correct {self._words['place']}.models, unless the probe is answered"
        return Finding("models", Result.WARNING, detail, advice)

    # ---- the probe

    async def _probe(self, models: Finding) -> Finding:
        if self.backend.abilities.leaves_traces:
            why = "an agent acts on what it is told: ask it yourself"
            return Finding("probe", Result.SKIPPED, why)
        if models.result is Result.FAILED:
            return Finding("probe", Result.SKIPPED, "not asked: models failed")
        known = (*self.entry.models, PROVIDERS[self.entry.kind].default_model, *self.found)
        model = next(filter(None, known), "")
        if not model:
            advice = f"name one in {self._words['place']}.models"
            return Finding("probe", Result.SKIPPED, "no model is known", advice)
        with trio.move_on_after(PROBE_LIMIT):
            return await self._asked(model)
        advice = "is the model being loaded? Else ask for a smaller one"
        return Finding("probe", Result.FAILED, f"{model}: no answer in {PROBE_LIMIT:g} s", advice)

    async def _asked(self, model: str) -> Finding:
        began = trio.current_time()
        try:
            first = await _answer(self.backend, model)
        except UpstreamFault as fault:
            finding = fault_finding("probe", fault, self._words)
            return attrs.evolve(finding, detail=f"{model}: {finding.detail}")
        except LipstreamError as error:
            advice = "this is a defect of lipstream: please report it"
            return Finding("probe", Result.FAILED, f"{model}: {error}", advice)
        detail = f"{model} answers, first after {first - began:.2f} s"
        return Finding("probe", Result.OK, detail, seconds=trio.current_time() - began)


async def _answer(backend: Backend, model: str) -> float:
    """Asks for next to nothing and reads to the end; when the first events came.

    Raises:
        UpstreamFault: there is no whole answer.
        ClientFault: the question cannot be put in the backend's protocol.
    """
    offer = backend.abilities.declaration(model).get(OPERATIONS[_CLIENT])
    speaks = backend.speaks if isinstance(backend, HttpBackend) else ""
    call = Call(
        dialect=_CLIENT,
        model=model,
        messages=(Message(Role.USER, (Text("Hi"),)),),
        options=Options(max_output_tokens=_FEWEST_TOKENS.get(speaks, 1)),
        is_streaming=offer is None or Mode.STREAMING in offer.native,
    )
    upstream = await backend.open(call, Candidate(backend.id, model))
    try:
        return await _read(upstream)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_LIMIT):
            await upstream.aclose()


async def _read(upstream: Upstream) -> float:
    first = None
    while True:
        batch = await upstream.receive()
        if batch and first is None:
            first = trio.current_time()
        last = batch[-1] if batch else None
        if isinstance(last, e.StreamFailed):
            raise last.fault
        if isinstance(last, e.Finished):
            return trio.current_time() if first is None else first
