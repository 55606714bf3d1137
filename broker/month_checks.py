"""The points of a month's list that rooms above billing know of, handed to it by `app.py` and by the daemon."""

from broker.approvals.service import list_waiting
from broker.billing.closing.model import Check, Finding
from broker.fapiao.debts import list_debts
from broker.payments.stripe.reconciling import find_reconciled_at, list_differences
from broker.persistence.marks import VERIFIED, read_marks
from broker.reports.reconciliation import reconcile_books
from broker.work import Work

EXAMPLES_TOLD = 5


async def check_books(work: Work, _month: str) -> Finding:
    """Tell what the last verification of the books found; the daemon verifies them every hour."""
    mark = (await read_marks(work.session)).get(VERIFIED)
    broken = 0 if mark is None else int(mark.value or 0)
    told = "the books were not verified yet" if mark is None else f"{broken} rows of the books break a rule"
    return Finding("books", broken, f"{told}; `broker ledger verify` says which", blocks=True)


async def check_reconciliation(work: Work, _month: str) -> Finding:
    """Count the differences along the chain from usage to payments."""
    different = [
        f"{link.name}: {each.contract_id} {each.unit}"
        for link in await reconcile_books(work)
        for each in link.differences
    ]
    told = f"{len(different)} contracts differ along the chain from usage to payments; GET /v1/reports/reconciliation"
    return Finding("reconciliation", len(different), told, blocks=True, examples=different[:EXAMPLES_TOLD])


async def check_fapiao_debts(work: Work, _month: str) -> Finding:
    """Count the customers whose fapiao say more than they have consumed: a red one is due. A hint."""
    debts = await list_debts(work)
    told = f"{len(debts)} customers have a fapiao debt (欠票), which a red fapiao settles; `broker fapiao debts`"
    examples = [f"{debt.customer_id}: {debt.there.debt}" for debt in debts[:EXAMPLES_TOLD]]
    return Finding("fapiao_debts", len(debts), told, examples=examples)


async def check_approvals(work: Work, _month: str) -> Finding:
    """Count what was proposed and waits for another person: it may still change what invoices ask for. A hint."""
    waiting = await list_waiting(work)
    told = f"{len(waiting)} proposals wait for another person; `broker approvals list`"
    return Finding("approvals", len(waiting), told, examples=waiting[:EXAMPLES_TOLD])


async def check_stripe(work: Work, _month: str) -> Finding:
    """Count the differences between our books and Stripe that the last comparison found; none where it is off."""
    if work.settings.stripe_api_key is None:
        return Finding("stripe", 0, "Stripe is off", blocks=True)
    found, compared_at = await list_differences(work), await find_reconciled_at(work)
    examples = [f"{each.kind}: {each.invoice_id or each.stripe_id}" for each in found[:EXAMPLES_TOLD]]
    count = 1 if compared_at is None else len(found)
    when = "never" if compared_at is None else f"at {compared_at:%F %R} UTC, {len(found)} differences"
    told = f"our books and Stripe were compared {when}; `broker stripe reconcile` compares them and says what to do"
    return Finding("stripe", count, told, blocks=True, examples=examples)


MONTH_CHECKS: tuple[Check, ...] = (
    check_books,
    check_reconciliation,
    check_stripe,
    check_fapiao_debts,
    check_approvals,
)
