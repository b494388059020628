"""The keys of one backend: which one goes with a request, and what is known of each.

Theory of operation. A request leases a key and gives the lease back with what became of it. A key
that the provider refused is dead: nobody asks with it again, except one request every ten minutes
that finds out whether it is still dead. A key whose limit is reached cools down until the time that
the provider named. Of the others the first in the order is taken, or the least recently used.

A key that has never worked is *unproven*. Only one request at a time tries it, where there are
others: the rest take the next key, and wait for the verdict where every key is being tried. So a
dead key costs one refused request, not as many as happened to arrive at once.

Ids never come from secrets, and no secret is in any message here.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs
import trio

from lipstream.canonical.secret import Secret
from lipstream.errors import ConfigError, FaultKind, UpstreamFault

RECHECK = 600.0  # seconds after which a dead key is tried once more
COOLDOWN = 60.0  # seconds, where the provider named no time
WINDOW = 60.0  # seconds that the limits per minute are counted over


class Order(enum.Enum):
    """Which of several usable keys goes first."""

    PRIORITY = "priority"
    LEAST_RECENTLY_USED = "least_recently_used"


@attrs.frozen(kw_only=True)
class Credential:
    """One key.

    Attributes:
        id: Unique in its pool; in records and logs.
        remote: Whose it is at the provider (organisation, project ...), for records.
        max_concurrent: Requests at once, or None.
        max_per_minute: Requests per minute, or None.
    """

    id: str
    secret: Secret
    remote: Mapping[str, str] = attrs.field(factory=dict)
    max_concurrent: int | None = None
    max_per_minute: int | None = None


class KeyState(enum.Enum):
    """What is known of a key."""

    UNPROVEN = "unproven"  # it has never worked
    USABLE = "usable"
    COOLING = "cooling"  # its limit is reached
    DEAD = "dead"  # the provider refuses it


class _Key:
    """A credential, and what is known of it."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.is_proven = False
        self.is_dead = False
        self.barred_until = -math.inf  # cooling, or dead and not to be tried again
        self.running = 0
        self.used_at = -math.inf
        self.starts: deque[float] = deque()

    def state(self, now: float) -> KeyState:
        if self.is_dead:
            return KeyState.DEAD
        if now < self.barred_until:
            return KeyState.COOLING
        return KeyState.USABLE if self.is_proven else KeyState.UNPROVEN

    def free_at(self, now: float) -> float:
        """When it may be used as far as time decides: now, or later."""
        limit = self.credential.max_per_minute
        while self.starts and self.starts[0] <= now - WINDOW:
            self.starts.popleft()
        if limit is not None and len(self.starts) >= limit:
            return max(self.barred_until, self.starts[-limit] + WINDOW)
        return self.barred_until

    @property
    def is_full(self) -> bool:
        limit = self.credential.max_concurrent
        return limit is not None and self.running >= limit

    @property
    def is_on_trial(self) -> bool:
        """Whether a request is under way that will tell what the key is worth."""
        return self.running > 0 and (self.is_dead or not self.is_proven)


@attrs.frozen
class KeyReport:
    """What may be shown of a key; ``until`` is ``trio.current_time()``, or None."""

    id: str
    state: KeyState
    until: float | None
    running: int
    remote: Mapping[str, str]


class Lease:
    """One request's use of a key. Give it back, once, with :meth:`end`."""

    def __init__(self, pool: CredentialPool, key: _Key) -> None:
        self._pool = pool
        self._key: _Key | None = key
        self.credential = key.credential

    def prove(self) -> None:
        """The provider took the key."""
        if self._key is not None and not (self._key.is_proven and not self._key.is_dead):
            self._key.is_proven, self._key.is_dead = True, False
            self._pool.wake()

    def end(self, fault: UpstreamFault | None = None) -> None:
        """Gives the key back; a fault of the key's own making is remembered. Does nothing twice."""
        key, self._key = self._key, None
        if key is None:
            return
        key.running -= 1
        now = trio.current_time()
        if fault is not None and fault.kind is FaultKind.CREDENTIALS:
            key.is_dead, key.barred_until = True, now + RECHECK
        elif fault is not None and fault.kind is FaultKind.RATE_LIMIT:
            pause = COOLDOWN if fault.retry_after is None else fault.retry_after
            key.is_proven, key.is_dead = True, False
            key.barred_until = max(key.barred_until, now + pause)
        self._pool.wake()


class CredentialPool:
    """The keys of one backend, in order.

    Args:
        credentials: At least one; none twice, neither by id nor by secret.

    Raises:
        ConfigError: an id is there twice, or a secret is empty, or there is no key.
    """

    def __init__(self, credentials: Sequence[Credential], order: Order = Order.PRIORITY) -> None:
        ids = [credential.id for credential in credentials]
        if not ids:
            raise ConfigError("credentials: there is none")
        if len(set(ids)) < len(ids):
            raise ConfigError(f"credentials: an id is there twice, of {', '.join(ids)}")
        if not all(credential.secret for credential in credentials):
            raise ConfigError("credentials: a key is empty")
        self._keys = [_Key(credential) for credential in credentials]
        self._order = order
        self._changed = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._keys)

    async def lease(self, tried: Collection[str] = ()) -> Lease:
        """A key for one request; ``tried`` are the ids that this request has had.

        Waits only while each key that is left is on trial or in full use.

        Raises:
            UpstreamFault: no key can be used now; ``retry_after`` says when one can.
        """
        while True:
            now = trio.current_time()
            left = [key for key in self._keys if key.credential.id not in tried]
            open_now = [key for key in left if key.free_at(now) <= now]
            ready = [key for key in open_now if not key.is_full and not self._is_taken(key)]
            if ready:
                return self._take(self._first(ready), now)
            if not open_now:
                raise self._none_left(now)
            await self._changed.park()

    def peek(self) -> Secret:
        """A key to look around with, that is not known to be refused where there is such a one.

        It is not lent: it counts for no limit, and what becomes of it says nothing of it.
        """
        alive = (key for key in self._keys if not key.is_dead)
        return next(alive, self._keys[0]).credential.secret

    def _is_taken(self, key: _Key) -> bool:
        return key.is_on_trial and len(self._keys) > 1

    def _first(self, ready: list[_Key]) -> _Key:
        if self._order is Order.PRIORITY:
            return ready[0]
        return min(ready, key=lambda key: key.used_at)

    def _take(self, key: _Key, now: float) -> Lease:
        key.running += 1
        key.used_at = now
        if key.credential.max_per_minute is not None:
            key.starts.append(now)
        return Lease(self, key)

    def _none_left(self, now: float) -> UpstreamFault:
        alive = [key for key in self._keys if not key.is_dead]
        if not alive:
            return UpstreamFault(FaultKind.CREDENTIALS, "the provider refuses every key")
        wait = max(0.0, min(key.free_at(now) for key in alive) - now)
        return UpstreamFault(
            FaultKind.RATE_LIMIT, "every key has reached its limit", retry_after=wait
        )

    def wake(self) -> None:
        """Something changed: whoever waits looks again."""
        self._changed.unpark_all()

    def revive(self) -> None:
        """Forgets what is known of dead keys, as after a reload."""
        for key in self._keys:
            if key.is_dead:
                key.is_dead, key.is_proven, key.barred_until = False, False, -math.inf
        self.wake()

    def reports(self) -> Iterator[KeyReport]:
        """What may be shown of each key, in order."""
        now = trio.current_time()
        for key in self._keys:
            free_at = key.free_at(now)
            until = free_at if free_at > now else None
            name, remote = key.credential.id, key.credential.remote
            yield KeyReport(name, key.state(now), until, key.running, remote)
