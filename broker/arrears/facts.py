"""The facts by which the state of a contract is decided, read for one contract or for all at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from broker.arrears.model import DAY, Debt, DebtKind, Extension, ExtensionKind, Facts, follow_extensions
from broker.arrears.tables import ArrearsExtension, ArrearsRecord
from broker.billing.debts import DueInvoice, list_due_invoices
from broker.billing.disputes import Won, read_disputed, read_won
from broker.clock import local_day
from broker.contracts.terms.arrears import ArrearsState
from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.ledger.service import BelowZero
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class FoundDebts:
    """What is owed under some contracts, before it is said on which day; what of each invoice is, or was, disputed."""

    invoices: Mapping[str, list[DueInvoice]]
    below_zero: Mapping[str, BelowZero]
    disputed: Mapping[str, Money]
    won: Mapping[str, Won]

    @property
    def contract_ids(self) -> set[str]:
        return {*self.invoices, *self.below_zero}

    def list_of(self, terms: ContractTerms) -> list[Debt]:
        """List the debts of a contract, by the days of its time zone."""
        debts = [self._describe(each, terms) for each in self.invoices.get(terms.id, ())]
        below = self.below_zero.get(terms.id)
        if below is not None:
            since = local_day(below.since, terms.time_zone)
            debts.append(Debt(DebtKind.BALANCE_BELOW_ZERO, terms.id, below.amount, since))
        return debts

    def _describe(self, invoice: DueInvoice, terms: ContractTerms) -> Debt:
        """Describe a debt. One disputed as a whole counts from the day on which the house has won, or later."""
        disputed, won = self.disputed.get(invoice.id, Money.zero()), self.won.get(invoice.id)
        first = invoice.due_on + DAY
        if won is not None and won.gross >= invoice.due:
            first = max(first, local_day(won.ended_at, terms.time_zone))
        return Debt(DebtKind.OVERDUE_INVOICE, invoice.id, invoice.due, first, invoice.number, disputed)


async def find_debts(work: Work, contract_id: str | None = None) -> FoundDebts:
    """Find what is owed under a contract, or under all."""
    invoices: defaultdict[str, list[DueInvoice]] = defaultdict(list)
    for each in await list_due_invoices(work, contract_id):
        invoices[each.contract_id].append(each)
    below_zero = {each.contract_id: each for each in await ledger.list_below_zero(work, contract_id)}
    ids = {each.id for own in invoices.values() for each in own}
    return FoundDebts(invoices, below_zero, await read_disputed(work, ids), await read_won(work, ids))


async def read_facts(work: Work, terms: ContractTerms, record: ArrearsRecord | None) -> Facts:
    """Read all that the state of a contract depends on."""
    extensions = (await read_extensions(work, {terms.id})).get(terms.id, ())
    return make_facts(terms, await find_debts(work, terms.id), record, extensions)


def make_facts(
    terms: ContractTerms, debts: FoundDebts, record: ArrearsRecord | None, extensions: Iterable[Extension]
) -> Facts:
    """Make the facts of a contract out of what was read. Pure."""
    return Facts(
        debts.list_of(terms),
        terms.arrears,
        tuple(extensions),
        None if record is None else record.deletion_on,
        record is not None and record.state == ArrearsState.CLOSED,
    )


async def read_extensions(work: Work, contract_ids: Collection[str]) -> Mapping[str, list[Extension]]:
    """Read the days that finance has given to contracts, and not taken back."""
    found: defaultdict[str, list[tuple[ExtensionKind, Extension]]] = defaultdict(list)
    query = select(ArrearsExtension).where(ArrearsExtension.contract_id.in_(contract_ids))
    for row in await work.session.scalars(query.order_by(ArrearsExtension.created_at, ArrearsExtension.id)):
        found[row.contract_id].append((ExtensionKind(row.kind), Extension(row.first_on, row.last_on)))
    return {contract_id: follow_extensions(given) for contract_id, given in found.items()}
