"""What charging needs to know of a contract: read once under its lock, kept up to date by each charge, written once.

So the jobs of a contract whose usage is taken together cost few more statements than one of them, and each is charged
against what those before it have left.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books import accounts
from broker.ledger.books.accounts import AccountKey, KnownAccount, NewTransfer
from broker.ledger.books.causes import Cause
from broker.ledger.books.closed_months import BilledMonth, find_open_month, list_closed_months
from broker.ledger.books.model import AccountKind
from broker.ledger.holding.legs import NewLeg, OpenGrants
from broker.ledger.limits.budget_alerts import command_budget_alerts
from broker.ledger.rating.charge_limit import LineCount, RateSegment, sum_invoiced
from broker.ledger.rating.rate_corrections import read_corrected
from broker.ledger.rating.rates import AddedLine, command_added_lines, read_job_lines, read_segments
from broker.ledger.tables import Capture, HoldLeg
from broker.persistence.driver import Command
from broker.persistence.records import Records
from broker.persistence.set_writes import command_inserts
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class FoundBooks:
    """All that charges ask of a contract, as it was read: what its open months count, and the lines of some jobs."""

    accounts: dict[AccountKey, KnownAccount]
    grants: Sequence[GrantTerms]
    closed: Collection[str]
    segments: defaultdict[str, dict[RateSegment, int]] = field(default_factory=lambda: defaultdict(dict))
    corrected: defaultdict[str, Money] = field(default_factory=lambda: defaultdict(Money.zero))
    lines: defaultdict[str, dict[RateSegment, LineCount]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(frozen=True)
class Charged:
    """What was charged to a contract and is to be written."""

    transfers: Sequence[tuple[accounts.Owner, NewTransfer]]
    captures: Sequence[dict[str, Any]]
    lines: Sequence[AddedLine]
    alerts: Sequence[Command]


@dataclass(eq=False)
class ChargeBooks:
    """The books of one contract under its lock, as charges in memory have left them.

    Each part is read when it is asked for, unless all was read ahead (`charge_reading.py`). `lines` are those of the
    jobs that were asked for, `segments` those of months. `watched` are the months with a budget that is charged to.
    """

    work: Work
    terms: ContractTerms
    _accounts: dict[AccountKey, KnownAccount] | None = None
    _grants: OpenGrants | None = None
    _closed: Collection[str] | None = None
    _lines: dict[str, dict[RateSegment, LineCount]] = field(default_factory=dict)
    _corrected: dict[str, Money] = field(default_factory=dict)
    _segments: dict[str, dict[RateSegment, int]] = field(default_factory=dict)
    _knows_all: bool = False
    _transfers: list[NewTransfer] = field(default_factory=list)
    _captures: list[dict[str, Any]] = field(default_factory=list)
    _added: list[AddedLine] = field(default_factory=list)
    _watched: set[str] = field(default_factory=set)
    _legs: Records[HoldLeg] | None = None

    @classmethod
    def of(cls, work: Work, terms: ContractTerms, found: FoundBooks, legs: Records[HoldLeg]) -> "ChargeBooks":
        """Make the books of a contract of which all was read ahead that charges ask for.

        New legs become records, and are written with the `legs` of the holds.
        """
        return cls(
            work,
            terms,
            _accounts=found.accounts,
            _grants=OpenGrants.of(found.grants, list_free(found.accounts)),
            _closed=found.closed,
            _lines=found.lines,
            _corrected=found.corrected,
            _segments=found.segments,
            _knows_all=True,
            _legs=legs,
        )

    def add_leg(self, **values: Any) -> HoldLeg:
        """Add the row of a leg that a hold takes: to the records of legs, or to the session where there are none."""
        if self._legs is not None:
            return self._legs.make(**values)
        leg = HoldLeg(**values)
        self.work.session.add(leg)
        return leg

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
            free = list_free(await self._read_accounts())
            grants = await contracts.list_grants(self.work, self.terms.id) if free else []
            self._grants = OpenGrants.of(grants, free)
        return self._grants

    async def list_over(self) -> frozenset[str]:
        """List the grants of the contract of which what comes back pays for nothing any more."""
        grants = (await self.read_grants()).terms.values()
        return frozenset(grant.id for grant in grants if grant.is_over_by(self.work.now))

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
        if not self._knows_all and month not in self._corrected:
            self._corrected[month] = await read_corrected(self.work, self.terms.id, month)
        return self._corrected[month]

    async def read_lines(self, job_id: str) -> Mapping[RateSegment, LineCount]:
        """Read what a job's lines count so far, in all months."""
        if not self._knows_all and job_id not in self._lines:
            self._lines |= await read_job_lines(self.work, [job_id])
        return self._lines[job_id]

    async def read_segments(self, month: str) -> Mapping[RateSegment, int]:
        """Read what the segments of a month count so far, of all jobs."""
        if not self._knows_all and month not in self._segments:
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

    def forget(self) -> None:
        """Forget accounts and grants, which others have changed since they were read; nothing waits to be written."""
        assert not self._transfers, "what was charged is written before"
        self._accounts = self._grants = None

    def charge(self, transfer: NewTransfer, captures: Sequence[dict[str, Any]]) -> None:
        """Keep a transfer of captured usage and its captures, to be written with the others."""
        self._transfers.append(transfer)
        self._captures += captures

    async def add_lines(self, added: Sequence[AddedLine]) -> None:
        """Keep what was charged by price: to be written with the others, and counted by the next charge already."""
        for each in added:
            segment, count = each.segment, each.count
            if segment.month not in self._watched and self.terms.find_watched_budget(segment.month) is not None:
                await self.read_segments(segment.month)
                self._watched.add(segment.month)
            lines = self._lines.setdefault(each.hold.job_id, {})
            earlier = lines.get(segment)
            lines[segment] = count if earlier is None else LineCount(earlier.quantity + count.quantity, count.leads)
            is_kept = earlier is not None
            self._added.append(AddedLine(each.hold, segment, count, each.rate_card_version, is_kept=is_kept))
            if self._knows_all or segment.month in self._segments:
                counted = self._segments[segment.month]
                counted[segment] = counted.get(segment, 0) + count.quantity

    async def write(self) -> None:
        """Write what was charged, after the new legs; tell how far budgets are used."""
        await self.work.run_together(await command_charges([self]))

    async def take_charged(self) -> Charged:
        """Take what was charged, to be written: the books have nothing left that waits for it."""
        terms = self.terms
        owner = accounts.Owner(terms.id, terms.customer_id)
        alerts: list[Command] = []
        for month in sorted(self._watched):
            alerts += command_budget_alerts(self.work, terms, month, await self._count_invoiced(month))
        taken = Charged([(owner, transfer) for transfer in self._transfers], self._captures, self._added, alerts)
        self._transfers, self._captures, self._added, self._watched = [], [], [], set()
        return taken

    async def _count_invoiced(self, month: str) -> Money:
        """Count what a month's invoice asks for by now."""
        return sum_invoiced(await self.read_segments(month)) - await self.read_corrected(month)


async def command_charges(charged: Sequence[ChargeBooks]) -> list[Command]:
    """Make the commands that write what was charged to contracts, once: transfers, captures, sums by price, alerts.

    The books are of one transaction. Each table is written by one statement, however many contracts there are.
    """
    if not charged:
        return []
    taken = [await books.take_charged() for books in charged]
    return [
        *accounts.command_transfers(charged[0].work.services, chain.from_iterable(each.transfers for each in taken)),
        *command_inserts(Capture, [row for each in taken for row in each.captures]),
        *command_added_lines(chain.from_iterable(each.lines for each in taken)),
        *chain.from_iterable(each.alerts for each in taken),
    ]


def list_free(known: Mapping[AccountKey, KnownAccount]) -> dict[str, int]:
    """List what is free in each grant. Units: those of the grants' meters."""
    return {key[2]: each.balance for key, each in known.items() if key[1] == AccountKind.GRANTED and key[2]}


def _budget_of(month: str) -> AccountKey:
    return Unit.MICRO_YUAN, AccountKind.BUDGET, None, month, None
