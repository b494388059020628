"""Which candidates may take a call, and how they are asked."""

from __future__ import annotations

import pytest

from lipstream.canonical.abilities import ANYTHING, Abilities
from lipstream.canonical.call import Call, Message, Role, Tool
from lipstream.canonical.candidate import Candidate
from lipstream.canonical.capabilities import EVERYTHING, Capability, lack
from lipstream.canonical.options import Options
from lipstream.canonical.parts import Image, Text
from lipstream.canonical.transport import Fallback, Invocation, Mode, declared
from lipstream.errors import CapabilityMissing, TransportRejected
from lipstream.routing.admission import Admission, Admissions, admit

C = Capability
EXACT, COMPATIBLE = Fallback.EXACT, Fallback.COMPATIBILITY
STREAM, WHOLE = Mode.STREAMING, Mode.NON_STREAMING
CHAT = "openai.chat_completions"

LOOK = Call(
    dialect="openai_chat",
    model="m",
    messages=(Message(Role.USER, (Text("look"), Image("data:image/png;base64,AA=="))),),
    tools=(Tool("f"),),
    options=Options(reasoning_effort="high", parallel_tool_calls=True, seed=1),
)
BLIND = Abilities(lacks=(lack("^blind", C.VISION, C.REASONING),))
STREAMS = Abilities(transport=declared([STREAM]))


def test_model_that_has_everything_gets_the_call_as_it_is() -> None:
    """But for the way in which it is asked, which is a stream."""
    admission = admit(LOOK, "m", ANYTHING, COMPATIBLE)
    assert admission == Admission(invocation=Invocation(CHAT, WHOLE), mode=STREAM)
    assert admission.fit(LOOK) == LOOK.changed(is_streaming=True)
    streaming = LOOK.changed(is_streaming=True)
    assert admission.fit(streaming) is streaming


def test_hard_shortfall_is_a_refusal_that_names_all_that_is_missing() -> None:
    """What is soft is not told."""
    abilities = Abilities(everything=frozenset({C.STREAMING}))
    admission = admit(LOOK, "m", abilities, COMPATIBLE)
    assert isinstance(admission.refusal, CapabilityMissing)
    assert str(admission.refusal) == "missing required capabilities: vision, tools"


def test_soft_shortfall_is_taken_out_of_the_call() -> None:
    """Of a copy: the call stays what it was."""
    abilities = Abilities(everything=EVERYTHING - {C.REASONING, C.PARALLEL_TOOL_CALLS})
    admission = admit(LOOK, "m", abilities, COMPATIBLE)
    assert admission.refusal is None
    assert admission.fit(LOOK).options == Options(seed=1)
    assert LOOK.options.reasoning_effort == "high"


@pytest.mark.parametrize(
    ("fallback", "asked", "abilities", "mode"),
    [
        (COMPATIBLE, WHOLE, STREAMS, STREAM),
        (COMPATIBLE, STREAM, Abilities(transport=declared([WHOLE])), WHOLE),
        (COMPATIBLE, WHOLE, Abilities(transport={}), None),
        (EXACT, WHOLE, ANYTHING, WHOLE),
        (EXACT, STREAM, ANYTHING, STREAM),
    ],
)
def test_mode_is_negotiated(
    fallback: Fallback, asked: Mode, abilities: Abilities, mode: Mode | None
) -> None:
    """Undeclared ones are left to the backend, which then streams."""
    call = LOOK.changed(is_streaming=asked is STREAM)
    admission = admit(call, "m", abilities, fallback)
    assert (admission.refusal, admission.mode) == (None, mode)
    assert admission.fit(call).is_streaming is (mode is not WHOLE)


@pytest.mark.parametrize("abilities", [STREAMS, Abilities(transport={}), BLIND])
def test_rejected_transport_is_told_before_a_missing_capability(abilities: Abilities) -> None:
    """With the operation and the mode that are not there."""
    mixed = Abilities(lacks=BLIND.lacks, transport=abilities.transport)
    admission = admit(LOOK, "blind", mixed, EXACT)
    if abilities is BLIND:
        assert isinstance(admission.refusal, CapabilityMissing)
    else:
        assert isinstance(admission.refusal, TransportRejected)
        assert str(admission.refusal) == f"{CHAT} is not offered with non_streaming transport"


def test_unknown_protocol_is_admitted_without_a_word_on_transport() -> None:
    """There is nothing to negotiate, also under exact."""
    admission = admit(LOOK.changed(dialect="x"), "m", Abilities(transport={}), EXACT)
    assert (admission.refusal, admission.mode, admission.invocation.operation) == (None, None, "")


def test_each_model_is_looked_at_once() -> None:
    """Parameters of a candidate do not count; those that are out are remembered."""
    asked: list[str] = []

    def abilities(backend: str) -> Abilities:
        asked.append(backend)
        return BLIND

    admissions = Admissions(LOOK, COMPATIBLE, abilities)
    seeing, blind = Candidate("a", "m"), Candidate("a", "blind")
    assert admissions.refusal(seeing) is None
    assert admissions.of(Candidate("a", "m", (("temperature", "1"),))) is admissions.of(seeing)
    refusal = admissions.refusal(blind)
    assert isinstance(refusal, CapabilityMissing)
    assert asked == ["a", "a"]
    assert [(c, found.refusal) for c, found in admissions.rejects] == [(blind, refusal)]
