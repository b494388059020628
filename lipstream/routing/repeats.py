"""When the same candidate may be asked once more in one exchange."""

from __future__ import annotations

import random

from lipstream.canonical.policy import Policy
from lipstream.errors import FaultKind, UpstreamFault

_SILENT = (FaultKind.TTFT, FaultKind.IDLE)
_BARE = (500, 502, 503, 504)


def repeat_delay(
    fault: UpstreamFault, policy: Policy, rng: random.Random, *, had_head: bool
) -> float | None:
    """Seconds after a failure until a repeat is worth it, or None.

    A known Retry-After is waited out when it is short enough. Without one, a connection that broke
    before the response's head (``had_head``) and a bare 500, 502, 503 or 504 are worth a second try
    after a short random pause. A candidate that was silent until a limit is never asked again.
    """
    if fault.kind in _SILENT:
        return None
    if fault.retry_after is not None:
        return fault.retry_after if fault.retry_after <= policy.max_wait else None
    is_broken_early = fault.kind is FaultKind.READ and not had_head
    if is_broken_early or fault.status in _BARE:
        return rng.uniform(0.05, 0.2)
    return None
