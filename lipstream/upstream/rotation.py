"""The keys that one request goes through: each at most once, one at a time, none of them lost.

A request that a provider turns down for the key's sake (``classify`` says ROTATE) goes out with the
next key; any other fault is nobody's key's, and no key is tried for it. When no key is left, what
is told is the worst that happened as long as it holds for all: see ``classify.decisive``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lipstream.canonical.secret import Secret
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.routing.classify import Verdict, classify, decisive
from lipstream.upstream.credentials import CredentialPool, Lease

T = TypeVar("T")

Ask = Callable[[Secret | None], Awaitable[T]]
"""Sends a request with a key, or without one. Raises UpstreamFault."""

log = logging.getLogger(__name__)

# A 403 is about the key only where it says so. Else the key may well be good for other models.
_DEAD_WITH_403 = frozenset(
    {
        "invalid_api_key",
        "api_key_invalid",
        "authentication_error",
        "unauthorized",
        "unauthenticated",
        "account_deactivated",
        "access_terminated",
        "billing_error",
        "billing_not_active",
        "billing_hard_limit_reached",
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_user_quota",
    }
)


class Keys:
    """The keys of one request. Without a pool there is one way to ask: without a key.

    Attributes:
        used: The id of the key that was used last, or None.
    """

    def __init__(self, pool: CredentialPool | None, name: str) -> None:
        """``name`` is the backend's, for the log."""
        self.used: str | None = None
        self._pool = pool
        self._name = name
        self._lease: Lease | None = None
        self._tried: set[str] = set()
        self._faults: list[UpstreamFault] = []

    async def first(self, ask: Ask[T]) -> T:
        """What ``ask`` returns with the first key that is taken, which stays lent then.

        Raises:
            UpstreamFault: it failed for another reason, or no key is left.
        """
        while True:
            key = await self._next()
            try:
                answer = await ask(key)
            except UpstreamFault as fault:
                if not self.turn(fault):
                    raise
            except BaseException:
                self.end()
                raise
            else:
                if self._lease is not None:
                    self._lease.prove()
                return answer

    def turn(self, fault: UpstreamFault) -> bool:
        """Gives the key back with what was wrong; says whether that calls for another one."""
        fault.credential = self.used
        lease = self._lease
        self.end(fault)
        if lease is None or classify(fault) is not Verdict.ROTATE:
            return False
        log.info("%s: key %s: %s", self._name, self.used, fault.kind.value)
        self._tried.add(lease.credential.id)
        self._faults.append(fault)
        return True

    def end(self, fault: UpstreamFault | None = None) -> None:
        """Gives the key back, if one is lent."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.end(fault if fault is not None and _is_to_blame(fault) else None)

    async def _next(self) -> Secret | None:
        if self._pool is None:
            return None
        try:
            self._lease = await self._pool.lease(self._tried)
        except UpstreamFault as none_left:
            raise self._exhausted(none_left) from None
        self.used = self._lease.credential.id
        return self._lease.credential.secret

    def _exhausted(self, none_left: UpstreamFault) -> UpstreamFault:
        """What to say when no key is left; the provider's own words, where there are any."""
        is_only_ours = none_left.kind is FaultKind.RATE_LIMIT and not none_left.retry_after
        faults = self._faults if self._faults and is_only_ours else [none_left, *self._faults]
        fault = decisive(faults)
        fault.credential = self.used
        return fault


def _is_to_blame(fault: UpstreamFault) -> bool:
    """Whether the key is what was wrong, for every request that would come with it."""
    return fault.status != 403 or (fault.code or "").lower() in _DEAD_WITH_403
