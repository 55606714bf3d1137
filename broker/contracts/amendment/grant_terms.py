"""The ends of grants where an amendment moves them: with the contract's end, or as it takes effect; and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update

from broker.contracts.tables import Grant
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.work import Work
from pricing.grants import GrantKind

LIVING = (GrantStatus.PENDING.value, GrantStatus.ACTIVE.value)


@dataclass(frozen=True)
class GrantEnd:
    """The end that a grant had before it was moved."""

    grant_id: str
    expires_at: datetime | None

    def to_json_dict(self) -> dict[str, Any]:
        return {
            "grant_id": self.grant_id,
            "expires_at": None if self.expires_at is None else self.expires_at.isoformat(),
        }

    @classmethod
    def from_json_dict(cls, document: Mapping[str, Any]) -> "GrantEnd":
        written = document["expires_at"]
        return cls(document["grant_id"], None if written is None else datetime.fromisoformat(written))


async def end_grants_with(work: Work, terms: ContractTerms, ends_at: datetime | None) -> list[GrantEnd]:
    """Let no grant outlive its contract, and those that lasted as long as it go on to its new end.

    Returns the ends that they had. The caller holds the contract's lock.
    """
    if ends_at is None:
        return []
    return await _move(work, terms.id, (Grant.expires_at > ends_at) | (Grant.expires_at == terms.ends_at), ends_at)


async def expire_bought_grants(work: Work, contract_id: str, moment: datetime) -> list[GrantEnd]:
    """Let the grants that were bought under a contract expire at a moment; gifts stay. Returns the ends they had."""
    bought = (Grant.kind == GrantKind.BOUGHT.value) & (Grant.expires_at > moment)
    return await _move(work, contract_id, bought, moment)


async def _move(work: Work, contract_id: str, which: ColumnElement[bool], moment: datetime) -> list[GrantEnd]:
    """Move the ends of living grants; one that has not begun by then has an empty term, and pays for nothing."""
    living = select(Grant).where(Grant.contract_id == contract_id, Grant.status.in_(LIVING), which)
    grants = (await work.session.scalars(living.execution_options(populate_existing=True))).all()
    had = [GrantEnd(grant.id, grant.expires_at) for grant in grants]
    for grant in grants:
        grant.expires_at = max(moment, grant.effective_at)
    await work.session.flush()
    return had


async def give_ends_back(work: Work, ends: Sequence[GrantEnd], *, moved_at: datetime) -> None:
    """Give living grants the ends back that they had, the first that was told of each.

    One whose term was counted from its payment since they were moved has an end of its own, which it keeps.
    """
    has_that_term = or_(Grant.term_months.is_(None), Grant.activated_at.is_(None), Grant.activated_at < moved_at)
    for end in reversed(ends):
        again = update(Grant).where(Grant.id == end.grant_id, Grant.status.in_(LIVING), has_that_term)
        await work.session.execute(again.values(expires_at=end.expires_at))
