"""How far contracts are with their commitments, and which of their grants end soon."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.identity import service as identity
from broker.identity.tables import Customer
from broker.ledger import service as ledger
from broker.ledger.books.model import AccountKind
from broker.ledger.grants.commit_usage import Window, read_used, read_used_by_week
from broker.ledger.grants.pace import compute_percent
from broker.ledger.service import Commitment, GrantBalance
from broker.ledger.tables import Account
from broker.reports.commitments.burn_down import MOST_WEEKS, WEEK, BurnDown, burn_down, list_weeks
from broker.work import Work
from pricing.usage import Unit


@dataclass(frozen=True)
class CommitmentRow:
    """One contract in force, or to be: its commitment's present period, and what is left of the hours.

    `left` is what may still be used of it: of hours paid ahead what is free in grants, else what is not used of the
    commitment. `covered` of `used` were paid by grants. Units: GPU-seconds.
    """

    terms: ContractTerms
    customer: str
    commitment: Commitment
    left: int
    used_of_grants: int
    granted: int
    used: int
    burn_down: BurnDown

    @property
    def attained_percent(self) -> Decimal | None:
        return compute_percent(self.commitment.attained.used, self.commitment.attained.committed)

    @property
    def used_percent(self) -> Decimal | None:
        """Tell what share of all that was granted is used (使用率)."""
        return compute_percent(self.used_of_grants, self.granted)

    @property
    def covered_percent(self) -> Decimal | None:
        """Tell what share of all usage grants have paid (覆盖率)."""
        return compute_percent(self.used_of_grants, self.used)


@dataclass(frozen=True)
class EndingGrant:
    """A grant in force that ends within the time asked for, with where its units are."""

    balance: GrantBalance
    customer: str
    contract_number: str
    unused_at_end: int


@dataclass(frozen=True)
class CommitmentsReport:
    """The contracts with a commitment, and the grants that end soon, the earliest first."""

    rows: Sequence[CommitmentRow]
    grants: Sequence[EndingGrant]


async def report_commitments(work: Work, within: timedelta, *, customer_id: str | None = None) -> CommitmentsReport:
    """Report the commitments of contracts that are not over, and grants that end within a time.

    Raises: NotFound, for a customer that is none, or another's.
    """
    if customer_id is not None:
        await identity.get_customer(work, customer_id)
    signed = [each for each in await contracts.list_committed(work) if _is_asked_for(each, customer_id, work)]
    balances = await _read_balances(work, signed)
    ending = await contracts.list_grants_ending(work, within)
    wanted = [grant for grant in ending if customer_id in {None, grant.customer_id}]
    soon = await ledger.read_grant_balances(work, wanted)
    known = {each.id: each for each in signed}
    known |= await contracts.load_terms(work, {grant.contract_id for grant in wanted} - known.keys())
    names = await _read_names(work, {each.customer_id for each in known.values()})
    rows = await _make_rows(work, signed, balances, names)
    grants = [_describe(each, names[each.terms.customer_id], known[each.terms.contract_id], work) for each in soon]
    return CommitmentsReport(sorted(rows, key=lambda row: (row.customer, row.terms.id)), grants)


def _is_asked_for(terms: ContractTerms, customer_id: str | None, work: Work) -> bool:
    commits = terms.at(work.now).committed_gpu_hours > 0
    return commits and customer_id in {None, terms.customer_id} and not terms.ends_before(work.now)


async def _read_balances(work: Work, signed: Sequence[ContractTerms]) -> dict[str, list[GrantBalance]]:
    grants = await contracts.list_grants_of(work, [each.id for each in signed])
    found: defaultdict[str, list[GrantBalance]] = defaultdict(list)
    for balance in await ledger.read_grant_balances(work, grants):
        if balance.terms.unit == Unit.GPU_SECONDS:
            found[balance.terms.contract_id].append(balance)
    return found


async def _read_names(work: Work, customer_ids: Iterable[str]) -> dict[str, str]:
    query = select(Customer.id, Customer.name).where(Customer.id.in_(customer_ids))
    return dict((await work.session.execute(query)).all())


async def _make_rows(
    work: Work, signed: Sequence[ContractTerms], balances: Mapping[str, list[GrantBalance]], names: Mapping[str, str]
) -> list[CommitmentRow]:
    commitments = await ledger.read_commitments(work, signed)
    since = work.now - MOST_WEEKS * WEEK
    weeks = await read_used_by_week(work, {each.id: Window.since(each, since) for each in signed})
    ids = [each.id for each in signed]
    used, issued = await read_used(work, ids), await _read_issued(work, ids)
    rows = []
    for terms in signed:
        own, commitment = balances.get(terms.id, []), commitments[terms.id]
        granted = [each for each in own if each.terms.credited]
        left = commitment.attained.unused if commitment.trues_up else _count_left(granted, work)
        weekly = list_weeks(weeks.get(terms.id, {}), terms.starts_at, work.now)
        row = CommitmentRow(
            terms=terms,
            customer=names[terms.customer_id],
            commitment=commitment,
            left=left,
            used_of_grants=sum(each.used for each in granted),
            granted=issued.get(terms.id, 0),
            used=sum(used.get((terms.id, Unit.GPU_SECONDS), Counter()).values()),
            burn_down=burn_down(left, weekly, work.now),
        )
        rows.append(row)
    return rows


async def _read_issued(work: Work, contract_ids: Sequence[str]) -> dict[str, int]:
    """Read what came into contracts' grants and has not left them for where it came from since."""
    query = select(Account.contract_id, -Account.balance).where(
        Account.contract_id.in_(contract_ids),
        Account.kind == AccountKind.ISSUED.value,
        Account.unit == Unit.GPU_SECONDS.value,
    )
    return {contract_id: quantity for contract_id, quantity in await work.session.execute(query) if contract_id}


def _count_left(granted: Iterable[GrantBalance], work: Work) -> int:
    in_force = (each for each in granted if each.terms.status == GrantStatus.ACTIVE and each.terms.lasts_at(work.now))
    return sum(each.free for each in in_force)


def _describe(balance: GrantBalance, customer: str, terms: ContractTerms, work: Work) -> EndingGrant:
    ends_at = balance.terms.expires_at
    assert ends_at is not None, "it ends soon"
    expected = balance.pace.project(int((ends_at - work.now).total_seconds()))
    return EndingGrant(balance, customer, terms.contract_number, max(0, balance.free - expected))
