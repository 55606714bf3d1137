"""Burn-down: which grant pays first for the GPU-seconds that a run uses."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Grant:
    """A block of prepaid GPU-seconds. Units: unit_price per GPU-hour; a lower priority number pays earlier."""

    id: str
    remaining_gpu_seconds: int
    unit_price: Decimal
    priority: int
    expires_at: datetime | None


@dataclass(frozen=True)
class Draw:
    """What one grant pays. Units: unit_price per GPU-hour."""

    grant_id: str
    gpu_seconds: int
    unit_price: Decimal


@dataclass(frozen=True)
class BurnDown:
    """The draws, in the order in which grants pay, and the GPU-seconds that no grant covers."""

    draws: tuple[Draw, ...]
    shortfall_gpu_seconds: int


def burn_down(grants: Iterable[Grant], gpu_seconds: int, *, now: datetime) -> BurnDown:
    """Split GPU-seconds over grants: lowest priority number first, then earliest expiry, cheapest, id.

    A grant is expired from its `expires_at` on; expired and empty grants are passed over. `now` is aware.
    Raises: ValueError for negative GPU-seconds.
    """
    if gpu_seconds < 0:
        raise ValueError(f"cannot draw {gpu_seconds} GPU-seconds")
    draws: list[Draw] = []
    for grant in sorted(grants, key=_order_of_payment):
        usable = _usable_gpu_seconds(grant, now)
        drawn = min(usable, gpu_seconds)
        if drawn > 0:
            draws.append(Draw(grant.id, drawn, grant.unit_price))
            gpu_seconds -= drawn
    return BurnDown(tuple(draws), shortfall_gpu_seconds=gpu_seconds)


def _order_of_payment(grant: Grant) -> tuple[int, datetime, Decimal, str]:
    return grant.priority, grant.expires_at or NEVER, grant.unit_price, grant.id


def _usable_gpu_seconds(grant: Grant, now: datetime) -> int:
    expired = grant.expires_at is not None and grant.expires_at <= now
    return 0 if expired else max(0, grant.remaining_gpu_seconds)
