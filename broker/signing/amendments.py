"""Amending a contract: first shown, then confirmed as it was shown, with the hours that it adds, in one transaction."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from broker import errors
from broker.billing import service as billing
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.contracts.amendment.amendable import CARD_TERMS, GUARANTEE
from broker.contracts.amendment.amending import apply_change, record_amendment
from broker.contracts.amendment.amendments import Amendment, PlannedAmendment, plan_amendment
from broker.contracts.amendment.grant_terms import GrantEnd, expire_bought_grants
from broker.contracts.amendment.new_amendment import NewAmendment, UnusedGrants
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, NewGrant
from broker.identity.service import lock_customer
from broker.ledger import service as ledger
from broker.metering.reading.last_use import find_last_use
from broker.signing.credit import require_no_arrears
from broker.signing.guarantees import require_capacity
from broker.signing.refunds import list_refundable, refund_grants
from broker.work import Work
from pricing.grants import GrantKind
from pricing.money import Money

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
# A preview of what changes at once is confirmed within this time, with the sums that it showed.
PREVIEW_LASTS = timedelta(hours=1)


@dataclass(frozen=True)
class UnusedGrant:
    """What is unused of a grant that was bought. Units: those of the grant's meter."""

    grant_id: str
    unused: int


@dataclass(frozen=True)
class AmendmentPreview:
    """An amendment as it would be confirmed, and the token that confirms it as it was shown."""

    planned: PlannedAmendment
    unused: tuple[UnusedGrant, ...]
    refund: Money
    shown_at: datetime
    is_at_once: bool

    @property
    def is_due_now(self) -> bool:
        """Tell whether the added hours are an advance, to be paid before they can be used."""
        return bool(self.planned.added_gpu_seconds) and self.planned.amended.plan_terms.advance

    @property
    def token(self) -> str:
        """Name all that was shown, and when: with other terms, sums or changes in between, the token is another one.

        What is unused of a grant that stays usable is no part of it: jobs use it while somebody reads the preview.
        """
        planned = self.planned
        shown = {
            "contract": planned.terms.id,
            "effective_at": None if self.is_at_once else planned.effective_at.isoformat(),
            "changes": planned.describe_changes(),
            "earlier": [change.to_json_dict() for change in planned.terms.changes],
            "added_gpu_seconds": planned.added_gpu_seconds,
            "amount": planned.amount.micros,
            "refund": self.refund.micros,
            "unused_grants": planned.unused_grants.value,
        }
        digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
        return f"{(self.shown_at - EPOCH) // MICROSECOND:x}-{digest[:32]}"


def read_shown_at(token: str, now: datetime) -> datetime:
    """Read when a preview was shown. Raises: PreviewStale, where it is no such token, or an old one."""
    written = token.partition("-")[0]
    micros = int(written, 16) if re.fullmatch("[0-9a-f]{1,15}", written) else 0
    shown_at = EPOCH + micros * MICROSECOND
    if not timedelta(0) <= now - shown_at <= PREVIEW_LASTS:
        raise _make_stale()
    return shown_at


def _make_stale() -> errors.PreviewStale:
    return errors.PreviewStale(
        "The contract, its prices or the changes are not those of the preview, or it is more than an hour old; ask for "
        "a new one and confirm that.",
        errors=[errors.FieldError("preview", "is of another state; POST the same changes to …/amendments/preview")],
    )


async def preview_amendment(work: Work, new: NewAmendment) -> AmendmentPreview:
    """Show what an amendment replaces, what it costs and what is unused. It writes nothing.

    Raises: NotFound, IllegalTransition, InvalidRequest, CommitmentRefused, InArrears.
    """
    terms = await contracts.lock_contract(work, new.contract_id)
    return await _preview(work, terms, new)


async def _preview(work: Work, terms: ContractTerms, new: NewAmendment) -> AmendmentPreview:
    shown_at = new.shown_at or work.now
    if CARD_TERMS & new.values.keys():
        terms = await contracts.with_published_cards(work, terms)
    unrated_since = await _find_unrated_since(work, terms, new)
    planned = plan_amendment(terms, replace(new, shown_at=shown_at), work.now, unrated_since)
    if planned.added_gpu_seconds:
        require_no_arrears(terms)
    if planned.changes("ends_at"):
        await _require_no_successor(work, terms)
    if planned.values.keys() & {GUARANTEE, "ends_at"}:
        await require_capacity(work, planned.foresee(), terms)
    bought = [grant for grant in await contracts.list_grants(work, terms.id) if grant.kind == GrantKind.BOUGHT]
    free = await ledger.read_grant_balances(work, bought)
    unused = tuple(UnusedGrant(each.terms.id, each.free) for each in free if each.free)
    refunds = await list_refundable(work, terms) if new.unused_grants == UnusedGrants.REFUND else []
    refund = sum((each.total for each in refunds), Money.zero())
    return AmendmentPreview(planned, unused, refund, shown_at, is_at_once=new.effective_at is None)


async def _require_no_successor(work: Work, terms: ContractTerms) -> None:
    """Refuse to move the end of a contract that is renewed: the next one begins there. Raises: InvalidRequest."""
    successor_id = await contracts.find_successor(work, terms.id)
    if successor_id is not None:
        message = f"is where contract {successor_id}, its renewal, begins; cancel that one first, then renew again"
        raise errors.invalid_field("ends_at", message)


async def _find_unrated_since(work: Work, terms: ContractTerms, new: NewAmendment) -> datetime | None:
    """Find from when on nothing was rated, where an amendment reaches back; None where that does not matter."""
    if new.effective_at is None or new.effective_at >= work.now:
        return None
    last = await find_last_use(work, terms.customer_id, terms.id)
    # What ended at just that moment was rated by the terms that were in effect then: it is before what is changed.
    return terms.starts_at if last is None else last + MICROSECOND


async def amend_contract(work: Work, new: NewAmendment, token: str) -> Amendment:
    """Amend a contract as its preview showed it.

    Raises: NotFound, IllegalTransition, InvalidRequest, CommitmentRefused, ContractsOverlap, PreviewStale,
    BudgetExceeded.
    """
    shown = replace(new, shown_at=read_shown_at(token, work.now))
    await lock_customer(work, (await contracts.get_contract(work, new.contract_id)).customer_id)
    preview = await _preview(work, await contracts.lock_contract(work, new.contract_id), shown)
    if preview.token != token:
        raise _make_stale()
    return await confirm_amendment(work, preview, new.reason)


async def confirm_amendment(work: Work, preview: AmendmentPreview, reason: str | None) -> Amendment:
    """Carry out what a preview shows. The caller holds the locks of customer and contract."""
    planned, amendment_id = preview.planned, work.new_id("amd")
    grant_ends: list[GrantEnd] = []
    if planned.unused_grants == UnusedGrants.REFUND:
        await refund_grants(work, planned.terms)
    elif planned.unused_grants == UnusedGrants.EXPIRE:
        grant_ends = await expire_bought_grants(work, planned.terms.id, planned.effective_at)
    amended, ended = await apply_change(work, planned, planned.make_change(amendment_id))
    if planned.amended.has_own_queue:
        await capacity.provide_dedicated_queue(work, planned.terms)
    await ledger.amend_budget(work, planned.terms, amended)
    grant_id, invoice_id = await _add_hours(work, amended, planned)
    recorded = await record_amendment(
        work,
        planned,
        amendment_id,
        grant_id=grant_id,
        invoice_id=invoice_id,
        grant_ends=[*grant_ends, *ended],
        reason=reason,
    )
    facts = {"amendment_id": recorded.id, "effective_at": planned.effective_at.isoformat(), "changes": recorded.changes}
    await record_contract_event(work, amended, ContractEventKind.AMENDED, facts)
    return recorded


async def _add_hours(work: Work, amended: ContractTerms, planned: PlannedAmendment) -> tuple[str | None, str | None]:
    """Create the grant of the added hours, with its invoice where they are an advance. Returns the ids of both."""
    if not planned.added_gpu_seconds:
        return None, None
    terms = amended.at(planned.effective_at)
    new = NewGrant(
        kind=GrantKind.BOUGHT,
        quantity=planned.added_gpu_seconds,
        unit_price=terms.prices_at(planned.effective_at).per_gpu_hour,
        advance=terms.plan_terms.advance,
        effective_at=planned.effective_at,
    )
    grant = await contracts.create_grant(work, terms, new)
    if not new.advance:
        await ledger.credit_grant(work, grant.id)
        return grant.id, None
    invoice = await billing.issue_advance_invoice(work, terms, grant)
    await contracts.note_invoice(work, grant.id, invoice.id)
    return grant.id, invoice.id
