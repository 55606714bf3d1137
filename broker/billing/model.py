"""Invoices, their states and their lines. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pricing.money import Money
from pricing.usage import Unit


class InvoiceKind(StrEnum):
    ADVANCE = "advance"
    USAGE = "usage"


class InvoiceStatus(StrEnum):
    """Where an invoice is. Kept as OPEN, one of which something was paid is shown as PARTLY_PAID (`shown_status`)."""

    DRAFT = "draft"
    OPEN = "open"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    VOID = "void"
    WRITTEN_OFF = "written_off"


class LineKind(StrEnum):
    COMMITMENT = "commitment"
    USAGE = "usage"
    ADVANCE = "advance"
    CORRECTION = "correction"
    TIER_SETTLEMENT = "tier_settlement"
    TAX = "tax"
    TRUE_UP = "true_up"
    GUARANTEE = "guarantee"
    BORNE = "borne"


@dataclass(frozen=True)
class AppliedGrant:
    """A grant that paid for usage of a line. Units: the line's meter."""

    grant_id: str
    quantity: int


@dataclass(frozen=True)
class LineDetails:
    """What is told of usage beside what it costs: whose it is, its price without any contract, who paid for it.

    Units: yuan per GPU-hour or per token; GPU-seconds or tokens. `list_price` is None where runs on GPU types of
    several prices share a line; `list_amount` is all of it at those, rounded once. `overage`: no grant covers it,
    though the contract has grants.
    """

    project_id: str | None = None
    list_price: Decimal | None = None
    list_amount: Money | None = None
    grants: tuple[AppliedGrant, ...] = ()
    overage: int = 0


NO_DETAILS = LineDetails()


@dataclass(frozen=True)
class DraftLine:
    """A line of an invoice to be. Units: the meter's own; yuan per GPU-hour or per token.

    What bills no quantity of a meter at one price, such as tax, has none of the four; a tier settlement and what the
    house bears have no price. `used_month` is the month that usage is of. A correction is of a closed one; its quantity
    is below zero where it takes back. `billable` is false where a line follows that takes it off again. `basis` is what
    it rests on beside its own month's usage, as evidence tells it.
    """

    kind: LineKind
    description: str
    amount: Money
    job_id: str | None = None
    meter: Unit | None = None
    quantity: int | None = None
    unit_price: Decimal | None = None
    rate_card_version: str | None = None
    used_month: str | None = None
    billable: bool = True
    details: LineDetails = NO_DETAILS
    basis: Mapping[str, Any] | None = None


def sum_lines(lines: Iterable[DraftLine]) -> Money:
    return sum((line.amount for line in lines), Money.zero())


def share_credit(due: Money, there: Mapping[str, Money], contract_id: str) -> dict[str, Money]:
    """Share what is due of a contract among a customer's credit, as far as that reaches: its own first, then in order.

    `there` is by the contracts that it is of; so is the answer.
    """
    shares: dict[str, Money] = {}
    for each in sorted(there, key=lambda name: name != contract_id):
        share = min(there[each], due - sum(shares.values(), Money.zero()))
        if share.micros > 0:
            shares[each] = share
    return shares
