"""The keys of one request: who is asked for, who is blamed, who is given back."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lipstream.canonical.secret import Secret
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.upstream.credentials import Credential, CredentialPool, KeyState
from lipstream.upstream.rotation import Keys


def fault(
    kind: FaultKind,
    status: int | None = None,
    *,
    code: str | None = None,
    retry_after: float | None = None,
) -> UpstreamFault:
    return UpstreamFault(
        kind, "no", status=status, code=code, retry_after=retry_after, detail="theirs"
    )


DEAD = fault(FaultKind.CREDENTIALS, 401)
LIMITED = fault(FaultKind.RATE_LIMIT, 429, retry_after=20)


def pool_of(*names: str) -> CredentialPool:
    return CredentialPool([Credential(id=name, secret=Secret(f"sk-{name}")) for name in names])


def states(pool: CredentialPool) -> list[tuple[KeyState, int]]:
    return [(report.state, report.running) for report in pool.reports()]


class Provider:
    """Answers with what it has for a key; keeps who asked."""

    def __init__(self, *answers: UpstreamFault | str) -> None:
        self.answers = list(answers)
        self.asked: list[str | None] = []

    async def ask(self, key: Secret | None) -> str:
        """The next answer."""
        await trio.lowlevel.checkpoint()
        self.asked.append(None if key is None else key.reveal())
        answer = self.answers.pop(0)
        if isinstance(answer, UpstreamFault):
            raise answer
        return answer


async def refused(keys: Keys, provider: Provider) -> UpstreamFault:
    with pytest.raises(UpstreamFault) as caught:
        await keys.first(provider.ask)
    return caught.value


async def test_each_key_is_tried_once_until_one_is_taken(autojump_clock: MockClock) -> None:
    """The one that is taken stays lent until it is given back."""
    pool, provider = pool_of("a", "b", "c"), Provider(DEAD, LIMITED, "hello")
    keys = Keys(pool, "x")
    assert await keys.first(provider.ask) == "hello"
    assert provider.asked == ["sk-a", "sk-b", "sk-c"]
    assert keys.used == "c"
    dead, cooling, usable = KeyState.DEAD, KeyState.COOLING, KeyState.USABLE
    assert states(pool) == [(dead, 0), (cooling, 0), (usable, 1)]
    keys.end()
    keys.end()
    assert states(pool) == [(dead, 0), (cooling, 0), (usable, 0)]


async def test_without_a_pool_there_is_no_key_and_no_second_try() -> None:
    """A fault is then nobody's key's."""
    provider = Provider(LIMITED)
    assert await refused(Keys(None, "x"), provider) is LIMITED
    assert provider.asked == [None]
    assert await Keys(None, "x").first(Provider("hello").ask) == "hello"


@pytest.mark.parametrize(
    "kind", [FaultKind.BAD_REQUEST, FaultKind.SERVER, FaultKind.CONNECT, FaultKind.NOT_FOUND]
)
async def test_other_faults_leave_the_keys_alone(kind: FaultKind) -> None:
    """The key goes back as it was, and the fault says which it was."""
    pool, provider = pool_of("a", "b"), Provider(fault(kind))
    told = await refused(Keys(pool, "x"), provider)
    assert (told.kind, told.credential) == (kind, "a")
    assert provider.asked == ["sk-a"]
    assert states(pool) == [(KeyState.UNPROVEN, 0), (KeyState.UNPROVEN, 0)]


@pytest.mark.parametrize(
    ("faults", "kind", "status", "retry_after"),
    [
        ([DEAD], FaultKind.CREDENTIALS, 401, None),
        ([DEAD, DEAD], FaultKind.CREDENTIALS, 401, None),
        ([DEAD, LIMITED], FaultKind.RATE_LIMIT, 429, 20.0),
        ([LIMITED, DEAD], FaultKind.RATE_LIMIT, 429, 20.0),
        ([fault(FaultKind.RATE_LIMIT, 429)], FaultKind.RATE_LIMIT, 429, 60.0),
    ],
)
async def test_without_a_key_left_the_providers_own_words_are_told(
    faults: list[UpstreamFault],
    kind: FaultKind,
    status: int,
    retry_after: float | None,
    autojump_clock: MockClock,
) -> None:
    """Of several the one that holds for all; with the time at which a key is usable again."""
    keys = Keys(pool_of(*"abc"[: len(faults)]), "x")
    told = await refused(keys, Provider(*faults))
    assert (told.kind, told.status, told.retry_after) == (kind, status, retry_after)
    assert told.detail == "theirs"
    assert told.credential == "abc"[len(faults) - 1]


async def test_key_that_cools_since_long_before_counts_as_well(autojump_clock: MockClock) -> None:
    """What this request did not see decides with what it saw."""
    pool = pool_of("a", "b")
    await refused(Keys(pool, "x"), Provider(LIMITED, DEAD))
    await trio.sleep(5)
    told = await refused(Keys(pool, "x"), Provider())
    assert (told.kind, told.status, told.retry_after) == (FaultKind.RATE_LIMIT, None, 15.0)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (None, KeyState.UNPROVEN),
        ("permission_error", KeyState.UNPROVEN),
        ("Account_Deactivated", KeyState.DEAD),
    ],
)
async def test_forbidden_key_is_dead_only_where_that_is_said(
    code: str | None, state: KeyState
) -> None:
    """It may lack the one model; the request tries the other keys all the same."""
    pool = pool_of("a")
    forbidden = fault(FaultKind.CREDENTIALS, 403, code=code)
    told = await refused(Keys(pool, "x"), Provider(forbidden))
    assert (told.kind, told.status) == (FaultKind.CREDENTIALS, 403)
    assert states(pool) == [(state, 0)]
