"""The memory of seals: who may see what came from whom."""

from __future__ import annotations

import attrs
import pytest

from lipstream.canonical.call import Call, Message, Role
from lipstream.canonical.parts import Image, Part, Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal
from lipstream.upstream.seals import SealMemory

HERE, ELSEWHERE = "b:m", "b:other"


def turn(*parts: Part) -> Call:
    """A call whose history is one answer."""
    messages = (Message(Role.USER, (Text("hi"),)), Message(Role.ASSISTANT, parts))
    return Call(dialect="d", model="m", messages=messages)


def seen(memory: SealMemory, *parts: Part, by: str = HERE) -> tuple[Part, ...]:
    """What is left of the answer."""
    return memory.addressed(turn(*parts), by).messages[1].parts


FROM_HERE, FROM_ELSEWHERE = Seal("d", "s", HERE), Seal("d", "s", ELSEWHERE)
BARE = Seal("d", "s")
CALL = ToolCall("c", "f", "{}")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Reasoning("hm", FROM_HERE), Reasoning("hm", FROM_HERE)),
        (Reasoning("hm", FROM_ELSEWHERE), None),
        (Reasoning("hm", BARE), Reasoning("hm", BARE)),
        (Reasoning("hm"), Reasoning("hm")),
        (Text("a", seal=FROM_ELSEWHERE), Text("a")),
        (Text("a", seal=FROM_HERE), Text("a", seal=FROM_HERE)),
        (attrs.evolve(CALL, seal=FROM_ELSEWHERE), CALL),
        (attrs.evolve(CALL, seal=FROM_HERE), attrs.evolve(CALL, seal=FROM_HERE)),
        (Image("u"), Image("u")),
    ],
)
def test_seal_is_seen_by_whom_it_came_from(part: Part, expected: Part | None) -> None:
    """Text and calls of others lose it, reasoning of others is left out with it."""
    found = seen(SealMemory(), Text("0"), part)
    assert found == (Text("0"), *([] if expected is None else [expected]))


def test_call_of_which_all_may_be_seen_is_the_call_itself() -> None:
    """Nothing is copied where nothing changes."""
    call = turn(Reasoning("hm", FROM_HERE), CALL, Text("a"))
    assert SealMemory().addressed(call, HERE) is call
    shown = turn(Image("u"))
    assert SealMemory().addressed(shown, HERE) is shown


def test_bare_seal_is_known_by_its_value() -> None:
    """A client of the same protocol brings it without its origin."""
    memory = SealMemory()
    memory.sealer(ELSEWHERE).seal("d", "s")
    memory.sealer(ELSEWHERE).seal("d", "")
    assert seen(memory, Reasoning("hm", BARE)) == ()
    assert seen(memory, Reasoning("hm", BARE), by=ELSEWHERE) == (Reasoning("hm", BARE),)
    other = Reasoning("hm", Seal("d", "never seen \ud800"))
    assert seen(memory, other, Reasoning("", Seal("d", ""))) == (
        other,
        Reasoning("", Seal("d", "")),
    )


def test_seal_of_a_call_is_remembered_by_the_calls_id() -> None:
    """For clients that have no place for it; one that they bring counts more."""
    memory = SealMemory()
    seal = memory.sealer(HERE).seal("d", "s", {"x": 1}, call_id="c")
    assert seen(memory, CALL) == (attrs.evolve(CALL, seal=seal),)
    assert seen(memory, CALL, by=ELSEWHERE) == (CALL,)
    own = attrs.evolve(CALL, seal=Seal("d", "t", HERE))
    assert seen(memory, own) == (own,)
    again = memory.sealer(HERE).seal("d", "t", call_id="c")
    assert seen(memory, CALL) == (attrs.evolve(CALL, seal=again),)


def calls_of(memory: SealMemory, *names: str) -> str:
    """Which of these calls still have their seals."""
    given = seen(memory, *(ToolCall(name, "f", "{}") for name in names))
    return "".join(p.id for p in given if isinstance(p, ToolCall) and p.seal is not None)


def test_memory_forgets_the_least_recently_used() -> None:
    """A conversation that goes on keeps its seals."""
    memory = SealMemory(max_seals=2)
    sealer = memory.sealer(HERE)
    for name in "ab":
        sealer.seal("d", name, call_id=name)
    assert calls_of(memory, "a") == "a"
    sealer.seal("d", "c", call_id="c")
    assert calls_of(memory, "a", "b", "c") == "ac"
    bare = [Reasoning("", Seal("d", value)) for value in "abc"]
    assert seen(memory, *bare, by=ELSEWHERE) == (bare[0],)
    sealer.seal("d", "b")
    assert seen(memory, *bare, by=ELSEWHERE) == (bare[0],)


@pytest.mark.parametrize("fields", [{}, {"x": "y" * 90}])
def test_memory_of_calls_is_bounded_in_bytes(fields: dict[str, str]) -> None:
    """Of the values and of the fields beside them; one that is too large is not kept at all."""
    memory = SealMemory(max_call_bytes=250)
    sealer = memory.sealer(HERE)
    value = "v" if fields else "v" * 100
    for name in "abc":
        sealer.seal("d", value, fields, call_id=name)
    assert calls_of(memory, "a", "b", "c") == "bc"
    sealer.seal("d", "v" * 300, call_id="d")
    assert calls_of(memory, "b", "c", "d") == ""
    sealer.seal("d", value, fields, call_id="e")
    assert calls_of(memory, "e") == "e"
