"""What each plan costs a customer now: what its own contracts charge, and elsewhere what signing today would give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, DateTime, Numeric, ScalarSelect, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker.clock import local_day
from broker.contracts.cards.rate_cards import rate_card_on
from broker.contracts.service import get_contract, get_contract_in_force, is_in_force, list_in_force, load_rows
from broker.contracts.tables import Contract
from broker.contracts.terms.model import CardChoice, ContractTerms
from broker.persistence.driver import RowFormat
from broker.work import Work
from pricing.plans import PlanName
from pricing.rate_card import RateCard, UnitPrices
from pricing.usage import Unit
from pricing.usage_prices import PricedUnits, UsagePrices

CONTRACTS = RowFormat(Contract)
MOMENTS = tuple(column.key for column in Contract.__table__.columns if isinstance(column.type, DateTime))

NUMBERS = tuple(column.key for column in Contract.__table__.columns if isinstance(column.type, Numeric))


@dataclass(frozen=True)
class BeyondGrants:
    """What a contract's grants pay for, in their order, and what GPU-hours cost that they do not cover."""

    prices: UnitPrices
    granted: Mapping[Unit, tuple[PricedUnits, ...]]

    @property
    def covered_gpu_seconds(self) -> int:
        return sum(units.quantity for units in self.granted.get(Unit.GPU_SECONDS, ()))


@dataclass(frozen=True)
class PlanPrices:
    """What a plan costs, and the contract that charges it; without one, what signing at that moment would give.

    `beyond` is there where that contract's overage, or what a grant of it pays for, has a price of its own.
    """

    prices: UnitPrices
    contract_id: str | None = None
    beyond: BeyondGrants | None = None

    @property
    def overage_per_gpu_hour(self) -> Decimal:
        """What a GPU-hour costs that no grant covers. Units: yuan."""
        return self.prices.per_gpu_hour if self.beyond is None else self.beyond.prices.per_gpu_hour

    @property
    def of_usage(self) -> UsagePrices:
        """What usage costs in the order in which it is charged."""
        if self.beyond is None:
            return UsagePrices.of_plan(self.prices)
        prices = self.prices
        return UsagePrices(self.overage_per_gpu_hour, prices.per_token, prices.currency, self.beyond.granted)


@dataclass(frozen=True)
class PriceList:
    """What every plan costs a customer at a moment, on-demand first; `card` is the one in force then."""

    card: RateCard
    plans: Mapping[PlanName, PlanPrices]


def make_price_list(
    card: RateCard, in_force: Sequence[ContractTerms], moment: datetime, gpu_type: str | None = None
) -> PriceList:
    """Choose the prices of every plan at a moment: a contract's own before those of the card. Pure.

    Where contracts on one plan charge different prices, none of them speaks for the plan: one has to be named.
    `gpu_type` is what the hours are of; None: of one without a multiplier.
    """
    charged = [PlanPrices(terms.prices_at(moment, gpu_type), terms.id) for terms in in_force]
    plans = {
        plan: _choose_own([own for own in charged if own.prices.plan == plan]) or PlanPrices(prices)
        for plan, prices in card.prices_by_plan(gpu_type).items()
    }
    return PriceList(card, plans)


def _choose_own(charged: Sequence[PlanPrices]) -> PlanPrices | None:
    agree = all(each.prices.charge_as(charged[0].prices) for each in charged)
    return charged[0] if charged and agree else None


async def get_price_list(work: Work, contract_id: str | None, gpu_type: str | None = None) -> PriceList:
    """Get what every plan costs the actor now: staff sees what signing gives, unless it names a contract.

    `gpu_type` is what the hours are of; None: of one without a multiplier.
    Raises: NotFound, NoContractInForce, where one was named; pricing.rate_card.NoPriceInForce.
    """
    card = await rate_card_on(work, local_day(work.now, work.settings.time_zone))
    customer_id = work.actor.customer_id
    if contract_id is not None:
        customer_id = (await get_contract(work, contract_id)).customer_id
    if customer_id is None:
        return make_price_list(card, [], work.now, gpu_type)
    in_force = await prefer_contract(work, customer_id, await list_in_force(work, customer_id), contract_id)
    return make_price_list(card, in_force, work.now, gpu_type)


async def prefer_contract(
    work: Work, customer_id: str, in_force: Sequence[ContractTerms], contract_id: str | None
) -> Sequence[ContractTerms]:
    """Let the contract named speak for its plan alone, among a customer's contracts in force.

    Raises: NotFound, NoContractInForce, where it is not among them.
    """
    if contract_id is None:
        return in_force
    named = next((terms for terms in in_force if terms.id == contract_id), None)
    if named is None:
        named = await get_contract_in_force(work, customer_id, contract_id)
    return [named, *(terms for terms in in_force if terms.plan != named.plan)]


def select_in_force(customer_id: ColumnElement[str], moment: ColumnElement[datetime]) -> ScalarSelect[Any]:
    """Select a customer's contracts in force, as part of a larger statement; see `read_in_force`."""
    whole_rows: aggregate_order_by[Any] = aggregate_order_by(
        literal_column(Contract.__tablename__), Contract.starts_at, Contract.id
    )
    own = select(func.jsonb_agg(whole_rows)).where(Contract.customer_id == customer_id, is_in_force(moment))
    return own.scalar_subquery()


class TermsOfRow(NamedTuple):
    """The terms that a row says, as it is written by `select_in_force`."""

    terms: ContractTerms


async def read_in_force(work: Work, written: Sequence[Mapping[str, Any]] | None) -> list[ContractTerms]:
    """Read the terms from what `select_in_force` selected; its rows belong to no session."""
    rows = written or ()
    known = {row["id"]: work.services.rows.find(TermsOfRow, row["id"], row) for row in rows}
    unknown = [row for row in rows if known[row["id"]] is None]
    loaded = await load_rows(work, [_read_row(row) for row in unknown])
    for row, terms in zip(unknown, loaded, strict=True):
        known[terms.id] = _keep_if_lasting(work, row, TermsOfRow(terms))
    return [read.terms for read in known.values() if read is not None]


def _keep_if_lasting(work: Work, row: Mapping[str, Any], read: TermsOfRow) -> TermsOfRow:
    """Keep terms for the next look, unless the day changes them, or a card that is published."""
    lasts = not read.terms.changes and read.terms.card_choice == CardChoice.PINNED
    return work.services.rows.keep(read.terms.id, read, row) if lasts else read


def _read_row(written: Mapping[str, Any]) -> Contract:
    """Read a row from JSON; columns that a later release has added are passed over."""
    values = {column.key: written[column.key] for column in Contract.__table__.columns}
    moments = {name: datetime.fromisoformat(values[name]) for name in MOMENTS if values[name] is not None}
    numbers = {name: Decimal(str(values[name])) for name in NUMBERS if values[name] is not None}
    return CONTRACTS.make(**{**values, **moments, **numbers})
