"""What each tab of 费用中心 shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from broker.billing.upcoming import UpcomingInvoice
from broker.console.customer.account_view import LOW_DAYS, LOW_PERCENT, SpendShown
from broker.contracts.terms.model import ContractTerms
from broker.fapiao.model import Invoiceable
from broker.ledger.grants.coverage import MeterCoverage
from broker.ledger.grants.grant_balances import GrantBalance, GrantDraw
from broker.ledger.reading.account_overview import AccountOverview
from broker.ledger.reading.balance import Balance
from broker.ledger.reading.statement import Statement
from broker.signing.amendments import AmendmentPreview
from broker.signing.grant_schemas import describe_status
from broker.signing.purchases import PurchaseView
from pricing.money import Money


@dataclass(frozen=True)
class OverviewShown:
    """账户总览: available and its parts; what is settled beside what is pending; a balance of an earlier day."""

    overview: AccountOverview
    spend: SpendShown
    days_left: Decimal | None
    arrears: str
    overdue: Sequence[Any]
    earlier: tuple[date, Balance] | None

    @property
    def overdue_sum(self) -> Money:
        return sum((each.due for each in self.overdue), Money.zero())


@dataclass(frozen=True)
class GrantRow:
    """A grant as a row: its state in a word, and whether it is almost gone (余量预警)."""

    balance: GrantBalance
    state: str

    @property
    def is_low(self) -> bool:
        """Tell whether little is left of a grant in use: in per cent of it, or in days at its pace."""
        left, days = self.balance.left_percent, self.balance.days_left
        is_little = (left is not None and left < LOW_PERCENT) or (days is not None and days < LOW_DAYS)
        return self.state == "active" and is_little


def make_grant_rows(balances: Sequence[GrantBalance], now: datetime) -> list[GrantRow]:
    """Make the rows of grants: those in use first, in the order in which they were given."""
    rows = [GrantRow(balance, describe_status(balance, now)) for balance in balances]
    return sorted(rows, key=lambda row: (row.state != "active", row.balance.terms.id), reverse=False)


@dataclass(frozen=True)
class GrantsShown:
    """资源包: what is left of each, 使用率 and 覆盖率, orders; and of one grant what it paid for (抵扣明细)."""

    rows: Sequence[GrantRow]
    coverage: Sequence[MeterCoverage]
    orders: Sequence[PurchaseView]
    drawn: tuple[GrantBalance, Sequence[GrantDraw], int | None] | None
    job_names: Mapping[str, str | None]


@dataclass(frozen=True)
class BillsShown:
    """账单: the invoices, and what the month under way comes to by now.

    `upcoming` is None in a month of very many jobs: what it comes to is its usage then, without tax or what the
    contract's terms add.
    """

    invoices: Sequence[Any]
    next_cursor: str | None
    month: str
    upcoming: UpcomingInvoice | None
    upcoming_total: Money


@dataclass(frozen=True)
class FapiaoShown:
    """发票: what can be asked for, what was, and to whom it was made out last."""

    there: Invoiceable
    rows: Sequence[Any]
    next_cursor: str | None
    last_title: Mapping[str, str]


@dataclass(frozen=True)
class PlanChange:
    """What another plan would replace, or why it cannot be had."""

    plan: str
    hours: int | None
    preview: AmendmentPreview | None
    refusal: str | None


@dataclass(frozen=True)
class ContractsShown:
    """合同: all contracts, the amendments of the chosen one, and what another plan would replace."""

    contracts: Sequence[ContractTerms]
    amendments: Sequence[Any]
    change: PlanChange | None


@dataclass(frozen=True)
class BudgetsShown:
    """预算: the month's budget, what is used and held of it, which shares were reached, and top-ups."""

    terms: ContractTerms
    balance: Balance
    used: Money
    alerts: Sequence[Any]
    top_up: Any | None
    contacts: Sequence[Any]


@dataclass(frozen=True)
class LedgerShown:
    """The ledger: what the customer's money did, with the balance after each line."""

    statement: Statement
    invoices: Mapping[str, str]
    number: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.statement.total // 50))
