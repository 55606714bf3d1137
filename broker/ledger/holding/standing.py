"""Standing holds: usage that no job reserved anything for is charged to one, within the same promises.

A standing hold reserves nothing: each capture extends it by just what it takes. It never ends and never expires. Its
contract's lock guards it, too: nothing else asks for it.
"""

from sqlalchemy import select

from broker.contracts.terms.model import ContractTerms
from broker.ledger.books.model import HoldState
from broker.ledger.holding.charge_books import ChargeBooks
from broker.ledger.holding.hold_legs import HoldView
from broker.ledger.holding.holds import view_hold
from broker.ledger.tables import Hold
from broker.work import Work


async def open_standing_hold(
    work: Work, terms: ContractTerms, stream_id: str, *, project_id: str | None, gpu_type: str | None
) -> HoldView:
    """Open the standing hold of a stream of usage, where it is new. The caller holds the contract's lock.

    Project and GPU type are where the usage comes from: they decide which grants may pay for it.
    """
    query = select(Hold).where(Hold.job_id == stream_id).execution_options(populate_existing=True)
    hold = (await work.session.scalars(query)).one_or_none()
    if hold is not None:
        return await view_hold(work, terms, hold)
    hold = Hold(
        id=work.new_id("hol"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        job_id=stream_id,
        idempotency_key=stream_id,
        project_id=project_id,
        gpu_type=gpu_type,
        month=terms.billing_month(work.now),
        state=HoldState.STANDING.value,
        expires_at=work.now,
        created_at=work.now,
    )
    work.session.add(hold)
    await work.session.flush()
    return HoldView(terms, hold, [], ChargeBooks(work, terms))
