"""Hours of a commitment that were lost by our doing and came back when it was over, so that nobody could use them.

They were billed in arrears, so nobody has paid for them: what is unused at the end would be charged, and they are not
unused (decision 0057).
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.causes import Cause
from broker.ledger.grants.commit_periods import RESOLUTION, LostHours
from broker.ledger.grants.corrected_losses import CorrectedLoss, share_out
from broker.ledger.tables import Capture
from broker.work import Work
from pricing.usage import Unit


async def read_late_losses(work: Work, terms: ContractTerms, since: datetime) -> list[LostHours]:
    """Read the hours in arrears that came back as lost from a moment on: of grants that are over, and of none."""
    return [*await _read_compensated(work, terms, since), *await _read_overage(work, terms, since)]


async def _read_compensated(work: Work, terms: ContractTerms, since: datetime) -> list[LostHours]:
    """Read what came back of grants in arrears as compensations: of the last month in which it could be used.

    What a correction has taken off a loss since it was compensated was never used: it is no loss.
    """
    grants = {grant.id: grant for grant in await contracts.list_grants(work, terms.id)}
    made = [grant for grant in grants.values() if grant.arrears and grant.compensates_id is not None]
    made = sorted(
        (grant for grant in made if grant.created_at >= since), key=lambda grant: (grant.created_at, grant.id)
    )
    never_used = share_out(await _read_corrected(work, [grant.compensates_id or "" for grant in made]), made)
    found = []
    for grant in made:
        ended_at = grants[grant.compensates_id or ""].expires_at or grant.created_at
        month = terms.billing_month(min(ended_at, grant.created_at) - RESOLUTION)
        found.append(LostHours(month, max(0, grant.quantity - never_used.get(grant.id, 0)), grant.created_at))
    return found


async def _read_corrected(work: Work, grant_ids: Collection[str]) -> list[CorrectedLoss]:
    if not grant_ids:
        return []
    charged, lost, correction = aliased(Capture), aliased(Capture), aliased(Capture)
    query = (
        select(charged.grant_id, -correction.quantity, lost.created_at, correction.created_at)
        .join(lost, lost.corrects_id == charged.id)
        .join(correction, correction.corrects_id == lost.id)
        .where(charged.grant_id.in_(grant_ids), charged.unit == Unit.GPU_SECONDS.value, lost.borne)
        .where(lost.cause != Cause.OVER_PROMISE.value)
    )
    rows = await work.session.execute(query)
    return [CorrectedLoss(grant_id or "", quantity, lost_at, at) for grant_id, quantity, lost_at, at in rows]


async def _read_overage(work: Work, terms: ContractTerms, since: datetime) -> list[LostHours]:
    """Read what was lost of hours that no grant had covered: of the months in which it was used.

    What a correction says since that was never used is no loss.
    """
    charged, correction = aliased(Capture), aliased(Capture)
    corrected = select(func.coalesce(func.sum(correction.quantity), 0)).where(correction.corrects_id == Capture.id)
    query = (
        select(Capture.used_month, func.sum(Capture.quantity + corrected.scalar_subquery()), Capture.created_at)
        .join(charged, charged.id == Capture.corrects_id)
        .where(Capture.contract_id == terms.id, Capture.created_at >= since, Capture.borne)
        .where(Capture.unit == Unit.GPU_SECONDS.value, Capture.cause != Cause.OVER_PROMISE.value)
        .where(charged.billable, charged.grant_id.is_(None))
        .group_by(Capture.used_month, Capture.created_at)
    )
    return [LostHours(month, int(quantity), at) for month, quantity, at in await work.session.execute(query)]
