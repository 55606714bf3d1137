"""The columns of statements, as three large banks export them for companies. A new layout is an entry here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.payments.bank.values import clean


class Amounts(StrEnum):
    """How a statement tells what came in from what went out."""

    TWO_COLUMNS = "two_columns"
    FLAG = "flag"
    SIGN = "sign"


@dataclass(frozen=True)
class Layout:
    """Where a statement has what; each field has the names that its column goes by, the first that is there counts.

    `needed` are fields without whose columns a row is no header of it. With TWO_COLUMNS there are `credit` and
    `debit`; with FLAG an `amount` and a `flag`, which is one of `credit_flags` where money came in; with SIGN an
    `amount` that is below zero where it went out.
    """

    name: str
    amounts: Amounts
    columns: Mapping[str, Sequence[str]]
    needed: Sequence[str]
    credit_flags: frozenset[str] = frozenset()

    def find_columns(self, row: Sequence[str]) -> dict[str, int] | None:
        """Find the place of each field in a row of headers; None where it is no header of this layout."""
        names = [clean(cell).replace(" ", "") for cell in row]
        places = {
            each: names.index(found)
            for each, options in self.columns.items()
            if (found := next((option for option in options if option in names), None)) is not None
        }
        return places if all(each in places for each in self.needed) else None


ICBC = Layout(
    name="icbc",
    amounts=Amounts.FLAG,
    columns={
        "serial": ("交易流水号", "凭证号"),
        "account": ("本方账号", "账号"),
        "value_on": ("交易时间", "交易日期", "入账日期"),
        "flag": ("借贷标志", "借/贷", "借贷"),
        "amount": ("发生额", "交易金额"),
        "currency": ("币种",),
        "payer_name": ("对方单位名称", "对方户名", "对方单位"),
        "payer_account": ("对方账号",),
        "payer_bank": ("对方行名", "对方行号"),
        "remark": ("附言", "用途"),
        "summary": ("摘要",),
    },
    needed=("serial", "value_on", "flag", "amount", "payer_name"),
    credit_flags=frozenset({"贷", "贷方", "C", "CR", "收入"}),
)
CMB = Layout(
    name="cmb",
    amounts=Amounts.TWO_COLUMNS,
    columns={
        "serial": ("流水号",),
        "account": ("账号", "本方账号"),
        "value_on": ("交易日", "起息日"),
        "debit": ("借方金额",),
        "credit": ("贷方金额",),
        "currency": ("币种",),
        "payer_name": ("收/付方名称", "收(付)方名称"),
        "payer_account": ("收/付方账号", "收(付)方账号"),
        "payer_bank": ("收/付方开户行名", "收(付)方开户行名"),
        "remark": ("用途", "业务摘要"),
        "summary": ("摘要", "其它摘要"),
    },
    needed=("serial", "value_on", "debit", "credit", "payer_name"),
)
CCB = Layout(
    name="ccb",
    amounts=Amounts.TWO_COLUMNS,
    columns={
        "serial": ("账户明细编号-交易流水号", "交易流水号"),
        "account": ("账号",),
        "value_on": ("交易时间", "记账日期"),
        "debit": ("借方发生额(支取)", "借方发生额/元(支取)"),
        "credit": ("贷方发生额(收入)", "贷方发生额/元(收入)"),
        "currency": ("币种",),
        "payer_name": ("对方户名",),
        "payer_account": ("对方账号",),
        "payer_bank": ("对方开户机构",),
        "remark": ("备注",),
        "summary": ("摘要",),
    },
    needed=("serial", "value_on", "debit", "credit", "payer_name"),
)
# One signed column: what several banks' apps export, and what a person writes by hand.
SIGNED = Layout(
    name="signed",
    amounts=Amounts.SIGN,
    columns={
        "serial": ("流水号", "交易流水号"),
        "account": ("账号", "本方账号"),
        "value_on": ("日期", "交易日期", "记账日期"),
        "amount": ("金额", "交易金额"),
        "currency": ("币种", "货币"),
        "payer_name": ("对方名称", "对方户名", "付款人"),
        "payer_account": ("对方账号", "付款账号"),
        "payer_bank": ("对方开户行", "付款行"),
        "remark": ("附言", "备注", "用途"),
        "summary": ("摘要",),
    },
    needed=("serial", "value_on", "amount", "payer_name"),
)
LAYOUTS = {each.name: each for each in (ICBC, CMB, CCB, SIGNED)}
