"""What is to be amended, as it was asked for, and the whole terms that follow from the parts that were sent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from broker import errors
from broker.clock import local_day
from broker.contracts.terms.agreed import make_tax
from broker.contracts.terms.model import CardChoice, ContractTerms
from pricing.rate_card import NoPriceInForce, RateCard, choose_card
from pricing.tax import Tax, TaxMode


class UnusedGrants(StrEnum):
    """What becomes of the unused part of bought grants: it stays usable, is paid back, or ends as the change begins."""

    CARRY = "carry"
    REFUND = "refund"
    EXPIRE = "expire"


@dataclass(frozen=True)
class NewAmendment:
    """What is to be changed, by the names that `ContractTerms` has. `effective_at` None: at once.

    Of tax, arrears and the rate card only the parts that change need be told (`resolve_values`). What is changed at
    once is prorated from the moment `shown_at` which its preview showed, and not a minute later.
    """

    contract_id: str
    values: Mapping[str, Any]
    effective_at: datetime | None = None
    unused_grants: UnusedGrants = UnusedGrants.CARRY
    reason: str | None = None
    shown_at: datetime | None = None

    def find_basis(self, effective_at: datetime) -> datetime:
        """Find the moment from which its hours and its term are counted."""
        return effective_at if self.effective_at is not None or self.shown_at is None else self.shown_at


def resolve_values(before: ContractTerms, sent: Mapping[str, Any], effective_at: datetime) -> dict[str, Any]:
    """Resolve the parts that were sent into whole terms. Raises: InvalidRequest."""
    values = dict(sent)
    if "arrears" in values:
        values["arrears"] = replace(before.arrears, **values["arrears"])
    if "tax" in values:
        values["tax"] = _resolve_tax(before.tax, values["tax"])
    if "card_choice" in values or "pinned_version" in values:
        day = local_day(effective_at, before.time_zone)
        values |= _resolve_card(before.cards, values.get("card_choice"), values.get("pinned_version"), day)
    return values


def _resolve_tax(before: Tax, sent: Mapping[str, Any]) -> Tax:
    """Resolve a new tax. What its prices include stays in them: what was bought at such a price was taxed with it.

    Raises: InvalidRequest.
    """
    mode = sent.get("mode", before.mode)
    kept = None if TaxMode.NONE in {before.mode, mode} else before.rate
    rate: Decimal | None = sent.get("rate", kept)
    tax = make_tax(mode, rate)
    if TaxMode.INCLUDED in {before.mode, tax.mode} and tax != before:
        cure = "end the contract and sign another with the new tax, or renew it"
        raise errors.invalid_field("tax_mode", f"a tax that is included in the prices stays for the whole term; {cure}")
    return tax


def _resolve_card(
    cards: Sequence[RateCard], choice: CardChoice | None, version: str | None, day: date
) -> dict[str, Any]:
    """Resolve which rate card prices from a day on: the newest, or the one named or in force then. Pins by default.

    Raises: InvalidRequest.
    """
    if choice == CardChoice.NEWEST:
        if version is not None:
            cure = "leave it out, or pin it with rate_card: pinned"
            raise errors.invalid_field("rate_card_version", f"the newest card is chosen day by day; {cure}")
        return {"card_choice": choice, "pinned_version": None}
    card = _choose_newest(cards, day) if version is None else _find_card(cards, version)
    if card.effective_from > day:
        told = f"rate card {card.version} is in force from {card.effective_from}, after the amendment takes effect"
        raise errors.invalid_field("rate_card_version", told)
    return {"card_choice": CardChoice.PINNED, "pinned_version": card.version}


def _find_card(cards: Sequence[RateCard], version: str) -> RateCard:
    found = next((card for card in cards if card.version == version), None)
    if found is None:
        raise errors.invalid_field(
            "rate_card_version", f"there is no rate card {version}; GET /v1/rate-cards lists them"
        )
    return found


def _choose_newest(cards: Sequence[RateCard], day: date) -> RateCard:
    try:
        return choose_card(cards, day)
    except NoPriceInForce as error:
        raise errors.invalid_field("effective_at", f"{error}; choose a later day") from error
