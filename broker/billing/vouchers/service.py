"""Keeping charts of accounts, and making a closed month's vouchers by the newest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from broker import errors
from broker.billing.vouchers.chart import STANDARD, Auxiliary, Chart, MappedAccount, check_chart, read_chart
from broker.billing.vouchers.tables import ChartOfAccounts
from broker.contracts import service as contracts
from broker.identity import service as identity
from broker.ledger import service as ledger
from broker.ledger.reading.journal import JournalLine, count_left_out, list_journal
from broker.work import Work
from pricing.money import Money

CHART_TURN = 7_203_122


@dataclass(frozen=True)
class ChartVersion:
    """A chart with its version; 0 is the usual one, which nobody has written."""

    version: int
    chart: Chart
    author: str | None = None
    created_at: datetime | None = None


async def get_chart(work: Work, version: int | None = None) -> ChartVersion:
    """Get a version of the chart of accounts; by default the newest. Raises: NotFound."""
    query = select(ChartOfAccounts).order_by(ChartOfAccounts.version.desc()).limit(1)
    if version is not None:
        query = query.where(ChartOfAccounts.version == version)
    row = (await work.session.scalars(query)).one_or_none()
    if row is not None:
        return ChartVersion(row.version, read_chart(row.accounts), row.author, row.created_at)
    if version:
        raise errors.NotFound("chart of accounts", str(version))
    return ChartVersion(0, STANDARD)


async def replace_chart(work: Work, accounts: Sequence[MappedAccount]) -> ChartVersion:
    """Replace the chart of accounts by another version, whole. Raises: InvalidRequest."""
    chart = check_chart(accounts)
    await work.take_turn(CHART_TURN)
    last = await get_chart(work)
    told = [each.to_json() for each in chart.values()]
    row = ChartOfAccounts(version=last.version + 1, accounts=told, author=work.actor.id, created_at=work.now)
    work.session.add(row)
    await work.session.flush()
    before, after = ({kind.value: each.to_json() for kind, each in of.items()} for of in (last.chart, chart))
    known = before | after
    work.note_change(
        "chart_of_accounts",
        str(row.version),
        {name: before.get(name) for name in known},
        {name: after.get(name) for name in known},
    )
    return ChartVersion(row.version, chart, row.author, row.created_at)


@dataclass(frozen=True)
class VoucherLine:
    """One side of a voucher (凭证) as finance books it; customer and contract stand where the account asks for them."""

    number: int
    day: date
    summary: str
    account: MappedAccount
    debit: Money
    credit: Money
    customer_id: str | None
    customer: str | None
    contract_id: str | None
    contract_number: str | None
    reference: str | None


@dataclass(frozen=True)
class Vouchers:
    """The vouchers of a closed month. `left_out` counts what is in the books without a value in money, by its kind."""

    month: str
    closed_at: datetime
    chart_version: int
    lines: Sequence[VoucherLine]
    left_out: dict[str, int]


async def make_vouchers(work: Work, month: str) -> Vouchers:
    """Make the vouchers of a closed month by the newest chart of accounts.

    Raises: PeriodStillOpen; AccountUnmapped, naming each account that is used and has no code.
    """
    period = await ledger.find_closed_period(work, month)
    if period is None:
        raise errors.PeriodStillOpen(f"{month} is not closed: its vouchers may still change. Close it.", month=month)
    version, journal = await get_chart(work), await list_journal(work, month)
    _require_mapped(journal, version)
    names = await identity.list_names(work, {line.customer_id for line in journal if line.customer_id is not None})
    terms = await contracts.load_terms(work, {line.contract_id for line in journal if line.contract_id is not None})
    numbers = {each.id: each.contract_number for each in terms.values()}
    lines = [_make_line(line, version.chart[line.kind], names, numbers) for line in journal]
    return Vouchers(month, period.closed_at, version.version, lines, await count_left_out(work, month))


def _require_mapped(journal: Sequence[JournalLine], version: ChartVersion) -> None:
    missing = sorted({line.kind.value for line in journal if line.kind not in version.chart})
    if missing:
        raise errors.AccountUnmapped(
            f"The chart of accounts has no code for {', '.join(missing)}; put it there: PUT /v1/chart-of-accounts.",
            errors=[errors.FieldError(name, "is used in the month and has no code") for name in missing],
        )


def _make_line(
    line: JournalLine, account: MappedAccount, names: dict[str, str], numbers: dict[str, str]
) -> VoucherLine:
    tells_customer = account.auxiliary != Auxiliary.NONE
    tells_contract = account.auxiliary == Auxiliary.CONTRACT
    return VoucherLine(
        number=line.voucher,
        day=line.day,
        summary=line.summary,
        account=account,
        debit=line.debit,
        credit=line.credit,
        customer_id=line.customer_id if tells_customer else None,
        customer=names.get(line.customer_id or "") if tells_customer else None,
        contract_id=line.contract_id if tells_contract else None,
        contract_number=numbers.get(line.contract_id or "") if tells_contract else None,
        reference=line.reference,
    )
