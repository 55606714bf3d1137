"""Making a month's invoices final: numbered without gaps, booked, their months closed. One is a batch.

From then on an invoice never changes, and what is told of its month comes too late for it.
"""

from collections.abc import Mapping, Sequence

from broker.billing.drafting import Draft
from broker.billing.due_days import compute_due_day
from broker.billing.model import InvoiceStatus, LineKind
from broker.billing.numbers import Series, take_numbers
from broker.billing.parties import Buyer, Issuer
from broker.billing.tables import Invoice
from broker.contracts.terms.model import ContractTerms
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


async def finalize_months(
    work: Work, terms: Mapping[str, ContractTerms], month: str, drafts: Mapping[str, Draft]
) -> None:
    """Close a month of contracts, and make their drafts of it final; one without a draft has nothing to bill.

    The month is over for all of them, and its drafts are as they were composed under the contracts' locks, which the
    caller holds.
    """
    await ledger.close_months(work, [(each, month) for each in terms.values()])
    final = [(terms[each], drafts[each]) for each in sorted(drafts)]
    await number_invoices(work, [(own, draft.invoice) for own, draft in final])
    await ledger.book_usage(work, month, [_describe(own, draft) for own, draft in final])
    for _own, draft in final:
        if draft.invoice.total_micros <= 0:  # nobody pays nothing: it would be overdue for ever
            draft.invoice.status, draft.invoice.paid_at = InvoiceStatus.PAID.value, work.now


def _describe(terms: ContractTerms, draft: Draft) -> ledger.BookedInvoice:
    """Describe an invoice for the books: what its lines take off is what grants have paid."""
    taken_off = sum((line.amount for line in draft.lines if line.kind == LineKind.ADVANCE), Money.zero())
    invoice = draft.invoice
    billed = ledger.MonthsInvoice(invoice.net, invoice.tax, by_grants=-taken_off)
    return ledger.BookedInvoice(terms, billed, invoice.id)


async def number_invoices(work: Work, invoices: Sequence[tuple[ContractTerms, Invoice]]) -> None:
    """Give invoices their numbers in this order, the day until which they are to be paid, and who they are between."""
    if not invoices:
        return
    numbers = await take_numbers(work, Series.INVOICE, len(invoices))
    names = await identity.list_names(work, {invoice.customer_id for _terms, invoice in invoices})
    issuer = Issuer.of(work.settings).to_json()
    for (terms, invoice), number in zip(invoices, numbers, strict=True):
        invoice.number = number
        invoice.status, invoice.finalized_at = InvoiceStatus.OPEN.value, work.now
        invoice.due_on = compute_due_day(terms, work.now, invoice.expires_at, work.settings.holidays)
        invoice.issuer, invoice.buyer = issuer, Buyer(names[invoice.customer_id]).to_json()
    await work.session.flush()
