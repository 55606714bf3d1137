"""Writing a contract: its terms are checked against the rate card of its first day, which it may pin."""

from dataclasses import asdict
from datetime import date, datetime

from broker import errors
from broker.clock import local_day
from broker.contracts.cards.rate_cards import get_listed_card, rate_card_on
from broker.contracts.keeping.loading import load_row
from broker.contracts.keeping.numbers import keep_apart
from broker.contracts.tables import Contract
from broker.contracts.terms.agreed import TrueUpRule, make_no_guarantee, make_no_rollover, make_no_true_up
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import DEFAULT_OVERAGE, CardChoice, ContractTerms, NewContract, Overage, RolloverRule
from broker.identity.service import lock_customer
from broker.work import Work
from pricing.grants import compute_expiry
from pricing.plans import CommitmentNotAllowed, CommitmentTooSmall, PlanName, check_commitment
from pricing.rate_card import NoPriceInForce, RateCard
from pricing.tax import TaxMode


async def create_contract(work: Work, new: NewContract) -> ContractTerms:
    """Write one contract at the prices in force on its first day.

    Raises: NotFound, CommitmentRefused, ContractsOverlap, InvalidRequest.
    """
    await lock_customer(work, new.customer_id)
    zone = new.time_zone or work.settings.time_zone
    card = await _get_card_at_signing(work, new, zone)
    _check_terms(card, new)
    ends_at = new.ends_at or _compute_end(new, zone)
    contract_id = work.new_id("con")
    row = Contract(
        id=contract_id,
        customer_id=new.customer_id,
        plan=new.plan.value,
        committed_gpu_hours=new.committed_gpu_hours,
        rate_card_version=card.version,
        card_choice=new.card_choice.value,
        overage=(new.overage or DEFAULT_OVERAGE[new.plan]).value,
        quote_guarantee=new.quote_guarantee.value,
        monthly_budget_micros=new.monthly_budget_micros,
        time_zone=zone,
        billing_day=new.billing_day,
        tax_mode=new.tax.mode.value,
        tax_rate=None if new.tax.mode == TaxMode.NONE else new.tax.rate,
        starts_at=new.starts_at,
        ends_at=ends_at,
        contract_number=new.contract_number or contract_id,
        purchase_order=new.purchase_order,
        committed_tokens=new.committed_tokens,
        payment_days=new.payment_days,
        draft_working_days=new.draft_working_days,
        finalizes=None if new.finalizes is None else new.finalizes.value,
        budget_hard_stop=new.budget_hard_stop,
        credit_limit_micros=new.credit_limit_micros,
        arrears_grace_days=new.arrears.grace_days,
        arrears_suspended_days=new.arrears.suspended_days,
        arrears_retention_days=new.arrears.retention_days,
        auto_renew=new.auto_renew,
        true_up=new.true_up.value,
        guaranteed_gpus=[asdict(each) for each in new.guaranteed_gpus],
        renewed_from_id=new.renewed_from_id,
        changes=[],
        arrears_state=ArrearsState.CURRENT.value,
        arrears_owed_micros=0,
        created_at=work.now,
    )
    await keep_apart(work, row)
    return await load_row(work, row)


def _compute_end(new: NewContract, time_zone: str) -> datetime | None:
    """Compute the end that nobody named: what commits to a volume commits to it for 12 months."""
    commits = new.committed_gpu_hours or new.committed_tokens
    return compute_expiry(new.starts_at, time_zone) if commits else None


async def _get_card_at_signing(work: Work, new: NewContract, time_zone: str) -> RateCard:
    try:
        first_day = local_day(new.starts_at, time_zone)
        if new.rate_card_version is None:
            return await rate_card_on(work, first_day)
    except (NoPriceInForce, OverflowError) as error:
        raise errors.invalid_field("starts_at", f"{error}; choose a later day") from error
    return await _get_pinned_card(work, new.rate_card_version, new.card_choice, first_day)


async def _get_pinned_card(work: Work, version: str, choice: CardChoice, first_day: date) -> RateCard:
    if choice == CardChoice.NEWEST:
        cure = "leave it out, or pin it with rate_card: pinned"
        raise errors.invalid_field("rate_card_version", f"the newest card is chosen day by day; {cure}")
    try:
        card = (await get_listed_card(work, version)).card
    except errors.NotFound as error:
        raise errors.invalid_field("rate_card_version", f"{error.detail} GET /v1/rate-cards lists them.") from error
    if card.effective_from > first_day:
        told = f"rate card {version} is in force from {card.effective_from}, after the contract's first day"
        raise errors.invalid_field("rate_card_version", told)
    return card


def _check_terms(card: RateCard, new: NewContract) -> None:
    try:
        check_commitment(card.terms(new.plan), new.plan, new.committed_gpu_hours)
    except (CommitmentTooSmall, CommitmentNotAllowed) as error:
        minimum = card.terms(new.plan).minimum_commit_gpu_hours
        message = str(error)
        raise errors.CommitmentRefused(
            message, errors=[errors.FieldError("committed_gpu_hours", message)], minimum_gpu_hours=minimum
        ) from error
    if new.plan == PlanName.ON_DEMAND and new.overage == Overage.BLOCK:
        raise errors.invalid_field("overage", "an on_demand contract has no grant, so block would let nothing run")
    if new.committed_tokens and not card.terms(new.plan).advance:
        raise errors.invalid_field("committed_tokens", "only prepaid buys tokens at signing; others order them later")
    if new.true_up == TrueUpRule.YEARLY and (card.terms(new.plan).advance or not new.committed_gpu_hours):
        raise make_no_true_up()
    if new.rollover.rule == RolloverRule.CARRY and new.committed_gpu_hours and not card.terms(new.plan).advance:
        raise make_no_rollover()
    if new.guaranteed_gpus and card.terms(new.plan).queue != "dedicated":
        raise make_no_guarantee()
    if new.ends_at is not None and new.ends_at <= new.starts_at:
        raise errors.invalid_field("ends_at", "must be after starts_at")
