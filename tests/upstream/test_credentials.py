"""The pool of keys: order, cooling, death and the one request that finds out."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lipstream.canonical.secret import Secret
from lipstream.errors import ConfigError, FaultKind, UpstreamFault
from lipstream.upstream.credentials import (
    COOLDOWN,
    RECHECK,
    Credential,
    CredentialPool,
    KeyState,
    Lease,
    Order,
)


def pool_of(
    *ids: str,
    order: Order = Order.PRIORITY,
    max_concurrent: int | None = None,
    max_per_minute: int | None = None,
) -> CredentialPool:
    return CredentialPool(
        [
            Credential(
                id=name,
                secret=Secret(f"sk-{name}"),
                max_concurrent=max_concurrent,
                max_per_minute=max_per_minute,
            )
            for name in ids
        ],
        order,
    )


def refused() -> UpstreamFault:
    return UpstreamFault(FaultKind.CREDENTIALS, "401", status=401)


def limited(seconds: float | None = None) -> UpstreamFault:
    return UpstreamFault(FaultKind.RATE_LIMIT, "429", status=429, retry_after=seconds)


async def use(pool: CredentialPool, fault: UpstreamFault | None = None) -> str:
    """One whole request; returns the id of its key."""
    lease = await pool.lease()
    if fault is None:
        lease.prove()
    lease.end(fault)
    return lease.credential.id


def states(pool: CredentialPool) -> list[KeyState]:
    return [report.state for report in pool.reports()]


async def test_first_usable_key_goes_first(autojump_clock: MockClock) -> None:
    """Priority, not round robin."""
    pool = pool_of("a", "b")
    assert ["a", "a", "a"] == [await use(pool) for _ in range(3)]


async def test_least_recently_used_key_goes_first(autojump_clock: MockClock) -> None:
    """The other order spreads the load."""
    pool = pool_of("a", "b", "c", order=Order.LEAST_RECENTLY_USED)
    used = []
    for _ in range(6):
        used.append(await use(pool))
        await trio.sleep(1)
    assert ["a", "b", "c", "a", "b", "c"] == used


async def test_dead_key_is_tried_again_by_one_request(autojump_clock: MockClock) -> None:
    """After ten minutes one request finds out, and the others do without it meanwhile."""
    pool = pool_of("a", "b")
    await use(pool, refused())
    assert [KeyState.DEAD, KeyState.UNPROVEN] == states(pool)
    await trio.sleep(RECHECK - 1)
    assert "b" == await use(pool)
    await trio.sleep(1)
    probe = await pool.lease()
    assert "a" == probe.credential.id
    assert "b" == await use(pool)
    probe.prove()
    probe.end()
    assert "a" == await use(pool)


async def test_key_cools_until_the_time_that_was_named(autojump_clock: MockClock) -> None:
    """Retry-After decides, else a minute; a later word never shortens it."""
    pool = pool_of("a", "b")
    first, second = await _two_on("a", pool)
    first.end(limited(90))
    second.end(limited(5))
    assert 90.0 == next(pool.reports()).until
    await trio.sleep(89.9)
    assert "b" == await use(pool)
    await trio.sleep(0.1)
    assert "a" == await use(pool, limited())
    assert trio.current_time() + COOLDOWN == next(pool.reports()).until


async def _two_on(name: str, pool: CredentialPool) -> tuple[Lease, Lease]:
    """Two leases of a proven key at once."""
    assert name == await use(pool)
    return await pool.lease(), await pool.lease()


async def test_nothing_left_says_why_and_until_when(autojump_clock: MockClock) -> None:
    """The earliest time counts; without any living key it is a matter of credentials."""
    pool = pool_of("a", "b")
    await use(pool, limited(30))
    await use(pool, limited(20))
    with pytest.raises(UpstreamFault) as caught:
        await pool.lease()
    assert (FaultKind.RATE_LIMIT, 20.0) == (caught.value.kind, caught.value.retry_after)
    pool = pool_of("a")
    await use(pool, refused())
    with pytest.raises(UpstreamFault) as caught:
        await pool.lease()
    assert FaultKind.CREDENTIALS is caught.value.kind


async def test_tried_keys_are_left_out(autojump_clock: MockClock) -> None:
    """A request that had a key does not get it again."""
    pool = pool_of("a", "b")
    lease = await pool.lease(tried={"a"})
    assert "b" == lease.credential.id


async def test_unproven_key_is_tried_by_one_request_at_a_time(autojump_clock: MockClock) -> None:
    """Of two hundred requests at once only one meets the dead key, and one the limited one."""
    pool, asked = pool_of("bad", "limited", "good"), []
    verdicts = {"bad": refused(), "limited": limited(99), "good": None}

    async def request() -> None:
        tried: set[str] = set()
        while True:
            lease = await pool.lease(tried)
            asked.append(lease.credential.id)
            await trio.sleep(0.1)
            fault = verdicts[lease.credential.id]
            if fault is None:
                lease.prove()
            lease.end(fault)
            if fault is None:
                return
            tried.add(lease.credential.id)

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(request)
    counts = {name: asked.count(name) for name in verdicts}
    assert {"bad": 1, "limited": 1, "good": 200} == counts


async def test_single_key_is_not_held_back(autojump_clock: MockClock) -> None:
    """Where there is no other key there is nothing to find out by waiting."""
    pool = pool_of("a")
    leases = [await pool.lease() for _ in range(3)]
    assert 3 == next(pool.reports()).running
    for lease in leases:
        lease.end()
        lease.end()
    assert 0 == next(pool.reports()).running


async def test_limits_of_a_key_are_kept(autojump_clock: MockClock) -> None:
    """So many at once, so many per minute; the next key takes the rest, or they wait."""
    pool = pool_of("a", "b", max_per_minute=2)
    assert ["a", "a", "b", "b"] == [await use(pool) for _ in range(4)]
    with pytest.raises(UpstreamFault) as caught:
        await pool.lease()
    assert 60.0 == caught.value.retry_after
    await trio.sleep(60)
    assert "a" == await use(pool)

    pool = pool_of("a", max_concurrent=1)
    lease = await pool.lease()
    with trio.move_on_after(1) as scope:
        await pool.lease()
    assert scope.cancelled_caught
    lease.end()
    assert "a" == await use(pool)


async def test_revived_keys_are_as_new(autojump_clock: MockClock) -> None:
    """A reload gives dead keys another chance and leaves cooling ones alone."""
    pool = pool_of("a", "b")
    await use(pool, refused())
    await use(pool, limited())
    pool.revive()
    assert [KeyState.UNPROVEN, KeyState.COOLING] == states(pool)


@pytest.mark.parametrize(
    ("keys", "message"),
    [((), "none"), ((("a", "x"), ("a", "y")), "twice"), ((("a", ""),), "empty")],
)
def test_pool_that_makes_no_sense_is_refused(
    keys: tuple[tuple[str, str], ...], message: str
) -> None:
    """No key, an id that is there twice, or an empty key."""
    with pytest.raises(ConfigError, match=message):
        CredentialPool([Credential(id=name, secret=Secret(text)) for name, text in keys])


async def test_secrets_stay_out_of_sight(autojump_clock: MockClock) -> None:
    """Neither reports nor faults nor leases show a key."""
    pool = pool_of("a")
    lease = await pool.lease()
    shown = [repr(list(pool.reports())), repr(lease.credential), repr(pool), repr(lease)]
    lease.end(refused())
    with pytest.raises(UpstreamFault) as caught:
        await pool.lease()
    assert not any("sk-a" in text for text in [*shown, repr(caught.value)])
    assert 1 == len(pool)
