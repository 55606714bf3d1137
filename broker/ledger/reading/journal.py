"""The general-ledger journal (凭证) of a period: each transfer of money as a voucher whose debits equal its credits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased

from broker.clock import local_day, month_end, month_start
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
    account: GeneralLedgerAccount
    customer_id: str | None
    contract_id: str | None
    debit: Money
    credit: Money
    reference: str | None


async def list_journal(work: Work, month: str) -> list[JournalLine]:
    """List the journal of a calendar month in the house's own time zone, by the moment of booking."""
    zone = work.settings.time_zone
    rows = await _read_entries(work, month_start(month, zone), month_end(month, zone))
    return list(_write_vouchers(rows, zone))


async def _read_entries(work: Work, start: datetime, end: datetime) -> Iterable[Any]:
    debit, credit = aliased(Account), aliased(Account)
    columns = (
        Transfer.id,
        Transfer.kind,
        Transfer.customer_id,
        Transfer.contract_id,
        Transfer.reference,
        Transfer.created_at,
        debit.kind.label("debit"),
        credit.kind.label("credit"),
        Entry.amount,
    )
    query = (
        select(*columns)
        .join(Entry, Entry.transfer_id == Transfer.id)
        .join(debit, debit.id == Entry.debit_account_id)
        .join(credit, credit.id == Entry.credit_account_id)
        .where(Entry.unit == Unit.MICRO_YUAN.value, debit.kind.in_(CHART), credit.kind.in_(CHART))
        .where(Transfer.created_at >= start, Transfer.created_at < end)
        .order_by(Transfer.created_at, Transfer.id, Entry.id)
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
                day=local_day(row.created_at, time_zone),
                summary=row.kind,
                account=CHART[AccountKind(kind)],
                customer_id=row.customer_id,
                contract_id=row.contract_id,
                debit=debited,
                credit=credited,
                reference=row.reference,
            )
