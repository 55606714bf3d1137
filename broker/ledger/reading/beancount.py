"""The ledger in the plain-text form of Beancount, so that any accountant's tool can read and check it. Pure.

GPU-seconds and tokens are commodities beside the money; what reserves money of a budget is one of its own, and what
fapiao are of another, since no money moves by them. Every account ends with an assertion of the balance that the ledger
keeps beside its entries.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from broker.ledger.books.model import FAPIAO, AccountKind
from pricing.money import DEFAULT_CURRENCY, MICROS_PER_UNIT
from pricing.usage import Unit

ROOT_OF = {
    AccountKind.ISSUED: "Equity",
    AccountKind.UNCOMMITTED: "Equity",
    AccountKind.BUDGET_ISSUED: "Equity",
    AccountKind.BORNE_ISSUED: "Equity",
    AccountKind.GRANTED: "Assets",
    AccountKind.BUDGET: "Assets",
    AccountKind.HELD: "Assets",
    AccountKind.USED: "Expenses",
    AccountKind.EXPIRED: "Expenses",
    AccountKind.BORNE: "Expenses",
    AccountKind.RECEIVABLE: "Assets",
    AccountKind.CASH: "Assets",
    AccountKind.DEFERRED_REVENUE: "Liabilities",
    AccountKind.TAX: "Liabilities",
    AccountKind.REFUNDS: "Liabilities",
    AccountKind.CUSTOMER_CREDIT: "Liabilities",
    AccountKind.UNMATCHED_RECEIPTS: "Liabilities",
    AccountKind.REVENUE: "Income",
    AccountKind.BREAKAGE: "Income",
    AccountKind.GIFT_COSTS: "Expenses",
    AccountKind.ROUNDING: "Expenses",
    AccountKind.BANK_FEES: "Expenses",
    AccountKind.BAD_DEBT: "Expenses",
    AccountKind.FAPIAO_DRAWN: "Equity",
    AccountKind.FAPIAO_REQUESTED: "Assets",
    AccountKind.FAPIAO_ISSUED: "Assets",
}
RESERVING = frozenset(
    {
        AccountKind.BUDGET_ISSUED,
        AccountKind.BUDGET,
        AccountKind.HELD,
        AccountKind.USED,
        AccountKind.BORNE_ISSUED,
        AccountKind.BORNE,
    }
)
COMMODITIES = {Unit.GPU_SECONDS: "GPU-SECONDS", Unit.TOKENS: "TOKENS"}
RESERVED_MONEY, ON_FAPIAO = f"{DEFAULT_CURRENCY}-RESERVED", f"{DEFAULT_CURRENCY}-FAPIAO"
HEAD = f"""option "title" "LoRA Broker: the ledger"
option "operating_currency" "{DEFAULT_CURRENCY}"
option "inferred_tolerance_default" "*:0"
"""


@dataclass(frozen=True)
class BookedAccount:
    """An account with its balance: what was debited less what was credited. Units: `balance` in `unit`."""

    id: str
    kind: AccountKind
    unit: Unit
    balance: int
    contract_id: str | None
    customer_id: str | None = None
    grant_id: str | None = None
    month: str | None = None
    cause: str | None = None

    @property
    def name(self) -> str:
        """Name the account: its root and kind, whose it is, and what tells it from others of its kind."""
        parts = [self.kind, self.contract_id or self.customer_id or "house", self.grant_id, self.month, self.cause]
        return ":".join([ROOT_OF[self.kind], *(_as_component(part) for part in parts if part is not None)])

    @property
    def commodity(self) -> str:
        if self.kind in FAPIAO:
            return ON_FAPIAO
        if self.unit == Unit.MICRO_YUAN:
            return RESERVED_MONEY if self.kind in RESERVING else DEFAULT_CURRENCY
        return COMMODITIES[self.unit]

    def write(self, amount: int) -> str:
        """Write an amount of the account's unit with its commodity: micro-yuan in yuan, to six places."""
        if self.unit != Unit.MICRO_YUAN:
            return f"{amount} {self.commodity}"
        whole, micros = divmod(abs(amount), MICROS_PER_UNIT)
        return f"{'-' if amount < 0 else ''}{whole}.{micros:06} {self.commodity}"


@dataclass(frozen=True)
class BookedEntry:
    """Units that went from the account that is credited to the one that is debited."""

    debit: BookedAccount
    credit: BookedAccount
    amount: int


@dataclass(frozen=True)
class BookedTransfer:
    """Entries that were booked together, and what they are for."""

    id: str
    kind: str
    moment: datetime
    reference: str | None
    entries: Sequence[BookedEntry]


def write_ledger(accounts: Iterable[BookedAccount], transfers: Iterable[BookedTransfer], today: date) -> Iterator[str]:
    """Write the file in pieces: accounts opened, transfers in the order in which they were booked, balances asserted.

    `today` is the day (UTC) of the last transfer or a later one.
    """
    yield HEAD
    known = sorted(accounts, key=lambda account: (account.name, account.commodity))
    commodities: dict[str, list[str]] = {}
    for account in known:
        commodities.setdefault(account.name, []).append(account.commodity)
    yield "".join(f"\n1970-01-01 open {name} {','.join(units)}" for name, units in commodities.items())
    yield "\n"
    for transfer in transfers:
        yield _write_transfer(transfer)
    asserted_on = (today + timedelta(days=1)).isoformat()
    for account in known:
        yield f"\n{asserted_on} balance {account.name}  {account.write(account.balance)}"
    yield "\n"


def _write_transfer(transfer: BookedTransfer) -> str:
    moment = transfer.moment.astimezone(UTC)
    lines = [f'\n{moment.date().isoformat()} * "{transfer.kind}"', f'  transfer: "{transfer.id}"']
    lines.append(f'  booked-at: "{moment.isoformat()}"')
    if transfer.reference is not None:
        lines.append(f'  reference: "{_escape(transfer.reference)}"')
    for entry in transfer.entries:
        lines.append(f"  {entry.debit.name}  {entry.debit.write(entry.amount)}")
        lines.append(f"  {entry.credit.name}  {entry.credit.write(-entry.amount)}")
    return "\n".join(lines) + "\n"


def _as_component(text: str) -> str:
    """Make a part of an account's name: it begins with a capital or a digit, and has no other signs than hyphens."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
    return plain[:1].upper() + plain[1:]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
