"""The general-ledger journal (凭证) of a period: each transfer of money as a voucher whose debits equal its credits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Date, cast, func, select
from sqlalchemy.orm import aliased

from broker.clock import local_day, month_end, month_start, next_month
from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account, Entry, Transfer
from broker.work import Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class GeneralLedgerAccount:
    """An account of the chart of accounts of Chinese enterprises (企业会计准则应用指南), by its code and name."""

    code: str
    name: str


CHART = {
    AccountKind.CASH: GeneralLedgerAccount("1002", "银行存款"),
    AccountKind.RECEIVABLE: GeneralLedgerAccount("1122", "应收账款"),
    AccountKind.DEFERRED_REVENUE: GeneralLedgerAccount("2205", "合同负债"),
    AccountKind.TAX: GeneralLedgerAccount("2221", "应交税费"),
    AccountKind.REFUNDS: GeneralLedgerAccount("2241.01", "其他应付款-应退款"),
    AccountKind.CUSTOMER_CREDIT: GeneralLedgerAccount("2241.02", "其他应付款-客户余额"),
    AccountKind.UNMATCHED_RECEIPTS: GeneralLedgerAccount("2241.03", "其他应付款-未认领汇款"),
    AccountKind.REVENUE: GeneralLedgerAccount("6001", "主营业务收入"),
    AccountKind.BREAKAGE: GeneralLedgerAccount("6051", "其他业务收入-过期资源包"),
    AccountKind.GIFT_COSTS: GeneralLedgerAccount("6601", "销售费用-赠送"),
    AccountKind.ROUNDING: GeneralLedgerAccount("6603", "财务费用-尾差"),
    AccountKind.BANK_FEES: GeneralLedgerAccount("6603.02", "财务费用-银行手续费"),
    AccountKind.BAD_DEBT: GeneralLedgerAccount("6702", "信用减值损失"),
}


@dataclass(frozen=True)
class JournalLine:
    """One side of a voucher. `voucher` counts a period's transfers in the order in which they were booked."""

    voucher: int
    day: date
    summary: str
    kind: AccountKind
    customer_id: str | None
    contract_id: str | None
    debit: Money
    credit: Money
    reference: str | None

    @property
    def account(self) -> GeneralLedgerAccount:
        """The account in the usual chart."""
        return CHART[self.kind]


async def list_journal(work: Work, month: str) -> list[JournalLine]:
    """List the journal of a calendar month of the house, by the day on which money is booked.

    What earlier releases booked has no day: it is of the moment of booking.
    """
    rows = await _read_entries(work, month)
    return list(_write_vouchers(rows, work.settings.time_zone))


async def count_left_out(work: Work, month: str) -> dict[str, int]:
    """Count the transfers of a month that no journal has, by kind: of units and budgets, which move no money."""
    start, end = (find(month, work.settings.time_zone) for find in (month_start, month_end))
    valued = (
        select(Entry.id)
        .join(Account, Account.id == Entry.debit_account_id)
        .where(Entry.transfer_id == Transfer.id, Entry.unit == Unit.MICRO_YUAN.value, Account.kind.in_(CHART))
    )
    query = (
        select(Transfer.kind, func.count())
        .where(Transfer.booked_on.is_(None), Transfer.created_at >= start, Transfer.created_at < end, ~valued.exists())
        .group_by(Transfer.kind)
    )
    return dict((await work.session.execute(query.order_by(Transfer.kind))).all())


def _is_of(month: str, time_zone: str) -> ColumnElement[bool]:
    """Make the condition that a transfer of money is booked in a month."""
    first, following = (date.fromisoformat(f"{each}-01") for each in (month, next_month(month)))
    on_a_day = (Transfer.booked_on >= first) & (Transfer.booked_on < following)
    start, end = month_start(month, time_zone), month_end(month, time_zone)
    return on_a_day | (Transfer.booked_on.is_(None) & (Transfer.created_at >= start) & (Transfer.created_at < end))


async def _read_entries(work: Work, month: str) -> Iterable[Any]:
    debit, credit = aliased(Account), aliased(Account)
    columns = (
        Transfer.id,
        Transfer.kind,
        Transfer.customer_id,
        Transfer.contract_id,
        Transfer.reference,
        Transfer.created_at,
        Transfer.booked_on,
        debit.kind.label("debit"),
        credit.kind.label("credit"),
        Entry.amount,
    )
    day = func.coalesce(Transfer.booked_on, cast(func.timezone(work.settings.time_zone, Transfer.created_at), Date))
    query = (
        select(*columns)
        .join(Entry, Entry.transfer_id == Transfer.id)
        .join(debit, debit.id == Entry.debit_account_id)
        .join(credit, credit.id == Entry.credit_account_id)
        .where(Entry.unit == Unit.MICRO_YUAN.value, debit.kind.in_(CHART), credit.kind.in_(CHART))
        .where(_is_of(month, work.settings.time_zone))
        .order_by(day, Transfer.created_at, Transfer.id, Entry.id)
    )
    return await work.session.execute(query)


def _write_vouchers(rows: Iterable[Any], time_zone: str) -> Iterator[JournalLine]:
    voucher, last = 0, None
    for row in rows:
        voucher, last = (voucher, last) if row.id == last else (voucher + 1, row.id)
        amount, nothing = Money(row.amount), Money.zero()
        for kind, debited, credited in ((row.debit, amount, nothing), (row.credit, nothing, amount)):
            yield JournalLine(
                voucher=voucher,
                day=row.booked_on or local_day(row.created_at, time_zone),
                summary=row.kind,
                kind=AccountKind(kind),
                customer_id=row.customer_id,
                contract_id=row.contract_id,
                debit=debited,
                credit=credited,
                reference=row.reference,
            )
