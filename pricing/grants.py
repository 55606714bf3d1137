"""Grants (资源包): what a block of prepaid units pays for, and burn-down: which grant pays first.

Source: MISSION, "the money side in this market": narrowest scope, gifts before bought, earliest expiry, oldest; never
for usage from before a grant began.
"""

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from pricing.usage import Unit

NEVER = datetime.max.replace(tzinfo=UTC)
DEFAULT_TERM_MONTHS = 12


class GrantKind(StrEnum):
    """How a grant came about: bought by the customer, or given by the house."""

    BOUGHT = "bought"
    PROMOTIONAL = "promotional"
    COMPENSATION = "compensation"

    @property
    def is_gift(self) -> bool:
        return self != GrantKind.BOUGHT


@dataclass(frozen=True)
class UsageOrigin:
    """Where usage comes from, as far as it decides which grants may pay for it.

    `base_rate`: its GPU type costs what the plan says, without a multiplier of its own.
    """

    meter: Unit
    project_id: str | None = None
    gpu_type: str | None = None
    base_rate: bool = True


@dataclass(frozen=True)
class GrantScope:
    """What a grant pays for: all usage of its meter, or that of one project, of one GPU type, or of both together."""

    meter: Unit = Unit.GPU_SECONDS
    project_id: str | None = None
    gpu_type: str | None = None

    def includes(self, origin: UsageOrigin) -> bool:
        """Tell whether usage falls into the scope; a GPU type with a multiplier only where the scope names it."""
        if self.meter != origin.meter or self.project_id not in {None, origin.project_id}:
            return False
        if self.gpu_type is None:
            return origin.base_rate or origin.meter != Unit.GPU_SECONDS
        return self.gpu_type == origin.gpu_type

    @property
    def breadth(self) -> int:
        """Rank scopes, the narrowest first: project and GPU type, a project, a GPU type, the whole meter."""
        return 2 * (self.project_id is None) + (self.gpu_type is None)


ALL_GPU_SECONDS = GrantScope()


@dataclass(frozen=True)
class Grant:
    """A block of prepaid units.

    Units: `remaining` in the scope's meter, unit_price per GPU-hour or token. A `priority` below that of others pays
    before them, whatever else; it is 0 unless finance says otherwise.
    """

    id: str
    remaining: int
    unit_price: Decimal
    scope: GrantScope
    kind: GrantKind
    effective_at: datetime
    expires_at: datetime | None
    priority: int = 0

    def pays_for(self, origin: UsageOrigin, moment: datetime) -> bool:
        """Tell whether it may pay for usage of a moment: of its scope, from its beginning on, and before its expiry."""
        return self.scope.includes(origin) and is_within_term(moment, self.effective_at, self.expires_at)


def is_within_term(moment: datetime, effective_at: datetime, expires_at: datetime | None) -> bool:
    """Tell whether a moment is in a grant's term: from its first moment on, and no more at its expiry."""
    return effective_at <= moment and (expires_at is None or moment < expires_at)


@dataclass(frozen=True)
class Draw:
    """What one grant pays. Units: `quantity` in the meter's unit, unit_price per GPU-hour or token."""

    grant_id: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True)
class BurnDown:
    """The draws, in the order in which grants pay, and the units that no grant covers."""

    draws: tuple[Draw, ...]
    shortfall: int


def burn_down(grants: Iterable[Grant], quantity: int, *, origin: UsageOrigin, moment: datetime) -> BurnDown:
    """Split usage of one moment over the grants that may pay for it, in the order of deduction (抵扣顺序).

    Units: `quantity` in the origin's meter; `moment` is aware. Of usage of one origin between two changes of what may
    pay, it does not matter in which order or in which parts it comes.
    Raises: ValueError for a negative quantity.
    """
    if quantity < 0:
        raise ValueError(f"cannot draw {quantity} {origin.meter}")
    draws: list[Draw] = []
    for grant in sorted(grants, key=order_of_deduction):
        drawn = min(max(0, grant.remaining), quantity) if grant.pays_for(origin, moment) else 0
        if drawn > 0:
            draws.append(Draw(grant.id, drawn, grant.unit_price))
            quantity -= drawn
    return BurnDown(tuple(draws), shortfall=quantity)


def order_of_deduction(grant: Grant) -> tuple[int, int, bool, datetime, datetime, str]:
    """Order grants: priority, narrowest scope, gifts before bought, earliest expiry, oldest, id."""
    expiry = grant.expires_at or NEVER
    return grant.priority, grant.scope.breadth, not grant.kind.is_gift, expiry, grant.effective_at, grant.id


def compute_expiry(effective_at: datetime, time_zone: str, months: int = DEFAULT_TERM_MONTHS) -> datetime:
    """Compute when a grant expires that is good for so many calendar months in a time zone (UTC).

    It is the same day and time of that later month, or the month's last day where it has none such: 12 months after
    29 February are over on 28 February.
    """
    local = effective_at.astimezone(ZoneInfo(time_zone))
    years, month = divmod(local.month - 1 + months, 12)
    year = local.year + years
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(UTC)
