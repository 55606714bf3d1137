"""What charging needs to know of a contract: read once under its lock, kept up to date by each charge, written once.

So the jobs of a contract whose usage is taken together cost few more statements than one of them, and each is charged
against what those before it have left.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from broker.contracts import service as contracts
from broker.contracts.model import ContractTerms
from broker.ledger.books import accounts
from broker.ledger.books.accounts import AccountKey, KnownAccount, NewTransfer
from broker.ledger.books.causes import Cause
from broker.ledger.books.closed_months import BilledMonth, find_open_month, list_closed_months
from broker.ledger.books.model import AccountKind
from broker.ledger.holding.legs import NewLeg, OpenGrants
from broker.ledger.limits.budget_alerts import tell_budget_used
from broker.ledger.rating.charge_limit import LineCount, RateSegment
from broker.ledger.rating.rate_corrections import read_corrected
from broker.ledger.rating.rates import AddedLine, add_to_rates, read_job_lines, read_segments
from broker.ledger.tables import Capture, HoldLeg
from broker.persistence.set_writes import insert_rows
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(eq=False)
class ChargeBooks:
    """The books of one contract under its lock, as charges in memory have left them. Each part is read when asked for.

    `lines` are those of the jobs that were asked for, `segments` those of months.
    """

    work: Work
    terms: ContractTerms
    _accounts: dict[AccountKey, KnownAccount] | None = None
    _grants: OpenGrants | None = None
    _closed: Collection[str] | None = None
    _lines: dict[str, dict[RateSegment, LineCount]] = field(default_factory=dict)
    _corrected: dict[str, Money] = field(default_factory=dict)
    _segments: dict[str, dict[RateSegment, int]] = field(default_factory=dict)
    _transfers: list[NewTransfer] = field(default_factory=list)
    _captures: list[dict[str, Any]] = field(default_factory=list)
    _added: list[AddedLine] = field(default_factory=list)

    async def read_ahead(self, job_ids: Collection[str]) -> None:
        """Read what the charges of these jobs will ask for, so that nothing is read between them."""
        await self.read_grants()
        await self._list_closed()
        month = self.terms.billing_month(self.work.now)
        await self.read_segments(await self.get_open_month(month))
        unread = [job_id for job_id in job_ids if job_id not in self._lines]
        if unread:
            self._lines |= await read_job_lines(self.work, unread)

    async def open_account(
        self, unit: Unit, kind: AccountKind, *, grant_id: str | None = None, cause: Cause | None = None
    ) -> str:
        """Open an account of the contract, where it is new. Returns its id."""
        known, key, terms = await self._read_accounts(), (unit, kind, grant_id, None, cause), self.terms
        if key not in known:
            opened = accounts.open_account(
                self.work, terms.id, terms.customer_id, unit, kind, grant_id=grant_id, cause=cause
            )
            known[key] = KnownAccount(await opened, 0)
        return known[key].id

    async def open_budget(self, month: str) -> str:
        """Open the account of a month's budget, where it is new. Returns its id."""
        known, key = await self._read_accounts(), _budget_of(month)
        if key not in known:
            terms = self.terms
            budget = terms.find_budget(month)
            opened = accounts.open_budget(self.work, terms.id, terms.customer_id, month, budget)
            known[key] = KnownAccount(await opened, budget or 0)
        return known[key].id

    async def read_budget_free(self, month: str, monthly_budget_micros: int) -> int:
        """Read what no hold has taken of a month's budget: all of it before it is first used. Units: micro-yuan."""
        free = await self.find_budget_free(month)
        return monthly_budget_micros if free is None else free

    async def find_budget_free(self, month: str) -> int | None:
        """Find what no hold has taken of a month's budget; None before it is first used. Units: micro-yuan."""
        known = (await self._read_accounts()).get(_budget_of(month))
        return None if known is None else known.balance

    async def read_grants(self) -> OpenGrants:
        """Read the grants of the contract, and what is free in each."""
        if self._grants is None:
            known = await self._read_accounts()
            free = {key[2]: each.balance for key, each in known.items() if key[1] == AccountKind.GRANTED and key[2]}
            grants = await contracts.list_grants(self.work, self.terms.id) if free else []
            self._grants = OpenGrants({grant.id: grant for grant in grants}, free)
        return self._grants

    async def read_totals(self) -> Mapping[tuple[Unit, AccountKind], int]:
        """Read the balances of the contract's accounts, added up by unit and kind."""
        totals: defaultdict[tuple[Unit, AccountKind], int] = defaultdict(int)
        for key, account in (await self._read_accounts()).items():
            totals[key[:2]] += account.balance
        return totals

    async def get_open_month(self, month: str) -> str:
        """Get the first month, from this one on, that is not closed."""
        return find_open_month(await self._list_closed(), month)

    async def find_billed_month(self, used: str) -> BilledMonth:
        """Find the month that bills usage of this one."""
        return BilledMonth(used, await self.get_open_month(used))

    async def _list_closed(self) -> Collection[str]:
        if self._closed is None:
            self._closed = await list_closed_months(self.work, self.terms.id)
        return self._closed

    async def read_corrected(self, month: str) -> Money:
        """Read what a month's invoice takes back of earlier ones."""
        if month not in self._corrected:
            self._corrected[month] = await read_corrected(self.work, self.terms.id, month)
        return self._corrected[month]

    async def read_lines(self, job_id: str) -> Mapping[RateSegment, LineCount]:
        """Read what a job's lines count so far, in all months."""
        if job_id not in self._lines:
            self._lines |= await read_job_lines(self.work, [job_id])
        return self._lines[job_id]

    async def read_segments(self, month: str) -> Mapping[RateSegment, int]:
        """Read what the segments of a month count so far, of all jobs."""
        if month not in self._segments:
            self._segments[month] = await read_segments(self.work, self.terms.id, month)
        return self._segments[month]

    async def _read_accounts(self) -> dict[AccountKey, KnownAccount]:
        if self._accounts is None:
            self._accounts = await accounts.read_accounts(self.work, self.terms.id)
        return self._accounts

    def take(self, leg: NewLeg) -> None:
        """Note that a hold takes a leg out of a grant or a budget."""
        if leg.grant_id is not None and self._grants is not None:
            self._grants = self._grants.less(leg.grant_id, leg.quantity)
        if leg.month is not None and leg.source == AccountKind.BUDGET:
            self._change_budget(leg.month, -leg.quantity)

    def give_back(self, leg: HoldLeg, quantity: int) -> None:
        """Note that a hold gives units of a leg back to the grant or the budget that they came from."""
        if leg.grant_id is not None and self._grants is not None:
            self._grants = self._grants.less(leg.grant_id, -quantity)
        if leg.month is not None and not leg.borne:
            self._change_budget(leg.month, quantity)

    def _change_budget(self, month: str, change: int) -> None:
        known, key = self._accounts or {}, _budget_of(month)
        if key in known:
            known[key] = replace(known[key], balance=known[key].balance + change)

    def charge(self, transfer: NewTransfer, captures: Sequence[dict[str, Any]]) -> None:
        """Keep a transfer of captured usage and its captures, to be written with the others."""
        self._transfers.append(transfer)
        self._captures += captures

    def add_lines(self, added: Sequence[AddedLine]) -> None:
        """Keep what was charged by price: to be written with the others, and counted by the next charge already."""
        self._added += added
        for each in added:
            segment, count = each.segment, each.count
            lines = self._lines.setdefault(each.hold.job_id, {})
            earlier = lines[segment].quantity if segment in lines else 0
            lines[segment] = LineCount(earlier + count.quantity, count.leads)
            if segment.month in self._segments:
                counted = self._segments[segment.month]
                counted[segment] = counted.get(segment, 0) + count.quantity

    async def write(self) -> None:
        """Write the new legs, the transfers, the captures, and their sums by price; tell how far budgets are used."""
        work, terms = self.work, self.terms
        if work.session.new:
            await work.session.flush()
        await accounts.post_transfers(work, terms.id, terms.customer_id, self._transfers)
        await insert_rows(work.connection, Capture, self._captures)
        await add_to_rates(work, self._added)
        for month in sorted({each.segment.month for each in self._added}):
            await tell_budget_used(work, terms, month)
        self._transfers, self._captures, self._added = [], [], []


def _budget_of(month: str) -> AccountKey:
    return Unit.MICRO_YUAN, AccountKind.BUDGET, None, month, None
