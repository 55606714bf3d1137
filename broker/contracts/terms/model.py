"""What a contract says, as the other features need it. Pure."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from broker.clock import local_day
from broker.contracts.terms.agreed import (
    DEFAULT_ARREARS,
    DEFAULT_PAYMENT_DAYS,
    ArrearsTerms,
    ContractStatus,
    Finalizing,
    GuaranteedGpus,
    TrueUpRule,
)
from broker.contracts.terms.arrears import ALLOWED, Allowed, ArrearsState
from broker.contracts.terms.calendar import BillingCalendar, MonthRule, make_calendar
from broker.contracts.terms.changes import TermsChange, find_values
from pricing.grants import ALL_GPU_SECONDS, GrantKind, GrantScope, UsageOrigin, is_within_term
from pricing.money import Money, round_to_fen
from pricing.plans import PlanName
from pricing.rate_card import PlanTerms, RateCard, UnitPrices, choose_card
from pricing.rating import price_usage
from pricing.tax import NO_TAX, Tax
from pricing.usage import Unit


class Overage(StrEnum):
    """What becomes of GPU-hours that no grant covers: sold at on-demand prices or at the contract's, or not at all."""

    ON_DEMAND = "on_demand"
    CONTRACT = "contract"
    BLOCK = "block"


class QuoteGuarantee(StrEnum):
    """What becomes of a job at its quote: it pauses until the customer raises it, or the house bears the rest."""

    PAUSE = "pause"
    CAP = "cap"


class CardChoice(StrEnum):
    """Which rate card prices a contract: the one that it pins at signing, or on each day the newest one in force."""

    PINNED = "pinned"
    NEWEST = "newest"


DEFAULT_OVERAGE = {
    PlanName.ON_DEMAND: Overage.CONTRACT,
    PlanName.PREPAID: Overage.BLOCK,
    PlanName.LONG_TERM: Overage.CONTRACT,
}


class RolloverRule(StrEnum):
    """What becomes of the unused part of a grant when its contract is renewed: it lapses, or is carried on."""

    NONE = "none"
    CARRY = "carry"


@dataclass(frozen=True)
class Rollover:
    """The rule, and the most that is carried on, in per cent of the whole grant."""

    rule: RolloverRule = RolloverRule.NONE
    percent: int = 100

    def limit(self, quantity: int, unused: int) -> int:
        """Compute how many units of a grant of this size go on, rounded down."""
        return min(unused, quantity * self.percent // 100) if self.rule == RolloverRule.CARRY else 0


NO_ROLLOVER = Rollover()


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a contract agrees on, whether it is about to be signed or signed. Units: GPU-hours, tokens, micro-yuan.

    `draft_working_days` and `finalizes` None: as the installation's settings have it.
    """

    customer_id: str
    plan: PlanName
    committed_gpu_hours: int
    committed_tokens: int = 0
    starts_at: datetime
    ends_at: datetime | None
    overage: Overage | None
    quote_guarantee: QuoteGuarantee
    monthly_budget_micros: int | None
    budget_hard_stop: bool = True
    credit_limit_micros: int | None = None
    time_zone: str | None
    billing_day: int
    tax: Tax = NO_TAX
    card_choice: CardChoice = CardChoice.PINNED
    contract_number: str | None = None
    purchase_order: str | None = None
    payment_days: int = DEFAULT_PAYMENT_DAYS
    draft_working_days: int | None = None
    finalizes: Finalizing | None = None
    arrears: ArrearsTerms = DEFAULT_ARREARS
    auto_renew: bool = False
    renewed_from_id: str | None = None
    true_up: TrueUpRule = TrueUpRule.AT_END
    guaranteed_gpus: tuple[GuaranteedGpus, ...] = ()

    def list_agreed(self) -> dict[str, Any]:
        """List what is agreed on, by the names of its fields: another contract may be signed on the same."""
        return {each.name: getattr(self, each.name) for each in fields(Agreement)}


@dataclass(frozen=True, kw_only=True)
class NewContract(Agreement):
    """What a customer is about to sign.

    `overage` None: as the plan has it; `time_zone` None: the installation's. `rate_card_version` is the card that it
    pins; None: the one in force on its first day.
    `contract_number` None: the contract's id; `ends_at` None: without end, or 12 months after the start where something
    is committed.
    """

    rate_card_version: str | None = None
    rollover: Rollover = NO_ROLLOVER


NOTHING_OWED = Money.zero()
# Of each contract: those of a few moments.
PRICES_KEPT = 64


@dataclass(frozen=True, kw_only=True)
class ContractTerms(Agreement):
    """One contract with the rate cards that it follows, the one it was signed on first. Money in micro-yuan.

    The fields are the terms as they are now; `at` answers them of another moment, where `changes` have come between.
    Nothing is priced but by `prices_at`. One that pins its card follows no other; one that follows the newest has all
    that were published for days since.
    """

    id: str
    overage: Overage
    time_zone: str
    contract_number: str = ""
    cards: tuple[RateCard, ...]
    cancelled_at: datetime | None = None
    pinned_version: str | None = None
    changes: tuple[TermsChange, ...] = ()
    arrears_state: ArrearsState = ArrearsState.CURRENT
    arrears_owed: Money = NOTHING_OWED
    known_calendar: BillingCalendar | None = field(default=None, compare=False, repr=False)

    def at(self, moment: datetime) -> "ContractTerms":
        """Answer the terms as they are at a moment, as if they had never been and would never be others.

        Its billing months stay those that the contract really has.
        """
        if not self.changes:
            return self
        return replace(self, **find_values(self.changes, moment), changes=(), known_calendar=self.calendar)

    @cached_property
    def calendar(self) -> BillingCalendar:
        """Answer the billing months of the whole contract, with what amendments have made of them."""
        return self.known_calendar or make_calendar(MonthRule(self.time_zone, self.billing_day), self.changes)

    def find_budget(self, month: str) -> int | None:
        """Find the most that a billing month may add to invoices; None where no budget stops it. Units: micro-yuan."""
        terms = self.of_month(month)
        return terms.monthly_budget_micros if terms.budget_hard_stop else None

    def find_watched_budget(self, month: str) -> int | None:
        """Find a billing month's budget, whether it stops what is charged or is only watched. Units: micro-yuan."""
        return self.of_month(month).monthly_budget_micros

    def of_month(self, month: str) -> "ContractTerms":
        """Answer the terms with which a month ends: they bill it, and its budget is theirs."""
        return self.at(self.month_end(month) - timedelta(microseconds=1)) if self.changes else self

    @property
    def plan_terms(self) -> PlanTerms:
        """What the plan asked for and gave at signing: commitment, advance, queue."""
        return self.cards[0].terms(self.plan)

    def prices_at(self, moment: datetime, gpu_type: str | None = None) -> UnitPrices:
        """Answer what a use at this moment costs under the contract: by its card of that day in its own time zone.

        A moment before the contract begins is priced as its first day. `gpu_type` is what the hours are of; None: of
        one without a multiplier.
        """
        return self._price(moment, gpu_type, as_overage=False)

    def overage_prices_at(self, moment: datetime, gpu_type: str | None = None) -> UnitPrices:
        """Answer what GPU-hours that no grant covers cost at this moment: by the same card, as `overage` says."""
        return self._price(moment, gpu_type, as_overage=True)

    @cached_property
    def _known_prices(self) -> dict[tuple[datetime | None, str | None, bool], UnitPrices]:
        """Keep a few prices that were asked for, of a moment or of all: one charge asks for its own a dozen times."""
        return {}

    @cached_property
    def _keeps_prices(self) -> bool:
        """Tell whether what it costs is the same at every moment: it pins its card, and none of its terms change."""
        return self.card_choice == CardChoice.PINNED and not self.changes

    def _price(self, moment: datetime, gpu_type: str | None, *, as_overage: bool) -> UnitPrices:
        asked = (None if self._keeps_prices else moment, gpu_type, as_overage)
        if asked not in self._known_prices:
            if len(self._known_prices) == PRICES_KEPT:
                self._known_prices.clear()
            terms = self.at(moment)
            on_demand = as_overage and terms.overage == Overage.ON_DEMAND
            plan = PlanName.ON_DEMAND if on_demand else terms.plan
            self._known_prices[asked] = _find_card(terms, moment).prices(plan, gpu_type)
        return self._known_prices[asked]

    def billing_month(self, moment: datetime) -> str:
        """Find the billing month ("2026-11") that a moment falls into; it begins on the billing day of that month."""
        return self.calendar.find_month(moment)

    def month_start(self, month: str) -> datetime:
        """Compute the first moment (UTC) of a billing month."""
        return self.calendar.start(month)

    def month_end(self, month: str) -> datetime:
        """Compute the first moment (UTC) after a billing month."""
        return self.calendar.end(month)

    @property
    def has_own_queue(self) -> bool:
        """Tell whether its plan gives it a queue of its own, which alone guaranteed GPUs serve."""
        return self.plan_terms.queue == "dedicated"

    @property
    def trues_up(self) -> bool:
        """Tell whether it pays in arrears for hours that it committed to: its true-up charges what is unused."""
        return self.cancelled_at is None and self.committed_gpu_hours > 0 and not self.plan_terms.advance

    @property
    def home_queue(self) -> str:
        """Name the queue that the plan gives: standard, priority, or the contract's dedicated one."""
        return dedicated_queue_name(self.id) if self.has_own_queue else self.plan_terms.queue

    @property
    def allowed(self) -> Allowed:
        """Tell what it may do in its state of arrears."""
        return ALLOWED[self.arrears_state]

    def covers(self, moment: datetime) -> bool:
        """Tell whether the contract is in force at a moment."""
        return self.status_at(moment) == ContractStatus.ACTIVE

    def status_at(self, moment: datetime) -> ContractStatus:
        """Tell where the contract is in its life."""
        if self.cancelled_at is not None:
            return ContractStatus.CANCELLED
        if moment < self.starts_at:
            return ContractStatus.UPCOMING
        over = self.ends_at is not None and moment >= self.ends_at
        return ContractStatus.ENDED if over else ContractStatus.ACTIVE

    def ends_before(self, moment: datetime) -> bool:
        """Tell whether usage up to a moment is from after the contract's end; usage up to its end is not.

        None is of a contract that was cancelled.
        """
        return self.cancelled_at is not None or (self.ends_at is not None and moment > self.ends_at)


def _find_card(terms: ContractTerms, moment: datetime) -> RateCard:
    """Find the card by which the terms of a moment price it: the one that they pin, or else the newest of that day."""
    if terms.card_choice == CardChoice.PINNED:
        version = terms.pinned_version or terms.cards[0].version
        return next(card for card in terms.cards if card.version == version)
    return choose_card(terms.cards, local_day(max(moment, terms.starts_at), terms.time_zone))


class GrantStatus(StrEnum):
    """Where a grant is in its life: not paid yet, credited, past its term, taken back, or its order cancelled."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    VOID = "void"
    CANCELLED = "cancelled"


ENDED = frozenset({GrantStatus.EXPIRED, GrantStatus.VOID})


@dataclass(frozen=True)
class NewGrant:
    """A grant that is about to be made. Units: `quantity` in the scope's meter; yuan per GPU-hour or token.

    Without a beginning of its own it begins with its contract; without an expiry it ends with the contract, where that
    has an end, or after 12 months. With `term_months` it begins when it is paid and lasts so long.
    `arrears`: a compensation that is billed as it is used, as what it came back of was; `compensates_id` is that grant.
    """

    kind: GrantKind
    quantity: int
    unit_price: Decimal
    scope: GrantScope = ALL_GPU_SECONDS
    advance: bool = False
    arrears: bool = False
    compensates_id: str | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 0
    reason: str | None = None
    term_months: int | None = None
    rollover: Rollover = NO_ROLLOVER


@dataclass(frozen=True)
class GrantTerms:
    """A block of prepaid units. Units: `quantity` of the whole block in its scope's meter; yuan per GPU-hour or token.

    An `advance` is paid by its own invoice, so its usage is not billed again; a gift's price says what it is worth.
    A compensation in `arrears` costs its price as it is used; `compensates_id` is the grant that one came back of.
    `is_order`: it was ordered beside what the contract commits to.
    """

    id: str
    contract_id: str
    customer_id: str
    kind: GrantKind
    scope: GrantScope
    quantity: int
    unit_price: Decimal
    priority: int
    advance: bool
    invoice_id: str | None
    status: GrantStatus
    credited: bool
    reason: str | None
    rollover: Rollover
    effective_at: datetime
    expires_at: datetime | None
    created_at: datetime
    arrears: bool = False
    compensates_id: str | None = None
    is_order: bool = False

    @property
    def unit(self) -> Unit:
        return self.scope.meter

    @property
    def billable(self) -> bool:
        """Tell whether its usage is on the month's invoice: not where an advance has paid for it, nor a gift's."""
        return self.arrears or not (self.advance or self.kind.is_gift)

    @property
    def is_free(self) -> bool:
        """Tell whether nobody pays for its usage: a gift, but no compensation for hours that somebody pays for."""
        return self.kind.is_gift and not self.advance and not self.arrears

    def price(self, quantity: int) -> Money:
        """Price so many of its units, rounded once, half-even to the fen. Units: the grant's own."""
        return round_to_fen(price_usage(self.unit, quantity, self.unit_price))

    def is_over_by(self, moment: datetime) -> bool:
        """Tell whether what comes back of it pays for nothing any more: its term is over, or it has ended before."""
        return self.status in ENDED or (self.expires_at is not None and self.expires_at <= moment)

    def lasts_at(self, moment: datetime) -> bool:
        """Tell whether its term is not over, whether or not it has begun."""
        return self.expires_at is None or moment < self.expires_at

    def pays_for(self, origin: UsageOrigin, moment: datetime) -> bool:
        """Tell whether what is held of it may pay for usage of a moment: of its scope and within its term."""
        return self.scope.includes(origin) and self.is_within_term(moment)

    def is_within_term(self, moment: datetime) -> bool:
        """Tell whether it has begun by a moment and not expired."""
        return is_within_term(moment, self.effective_at, self.expires_at)


def dedicated_queue_name(contract_id: str) -> str:
    return f"dedicated:{contract_id}"
