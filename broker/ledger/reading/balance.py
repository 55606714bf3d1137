"""What is left of a contract: available, held, used, and the month's budget."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.contracts.reading.candidates import find_contract, read_contract
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ledger.books.accounts import ACCOUNTS, AccountKey, KnownAccount, know_accounts
from broker.ledger.books.model import AccountKind
from broker.ledger.holding.charge_books import list_free
from broker.ledger.holding.legs import OpenGrants, count_available
from broker.ledger.limits.budgets import TAKEN, Taken, sum_taken
from broker.persistence.driver import Command, Row
from broker.persistence.tenancy import ASKING
from broker.work import Services, Work
from pricing.money import Money
from pricing.usage import Unit


@dataclass(frozen=True)
class Balance:
    """What is left of a contract. Units: GPU-seconds, tokens, money of the present billing month's budget.

    `used_money` is what usage invoices ask for, of all months, and the budget is left of what they do not ask for.
    """

    granted_gpu_seconds: int
    available_gpu_seconds: int
    held_gpu_seconds: int
    used_gpu_seconds: int
    granted_tokens: int
    available_tokens: int
    held_tokens: int
    used_tokens: int
    month: str
    budget: Money | None
    budget_left: Money | None
    held_money: Money
    used_money: Money


def find_balance(contract_id: str, *, seen_by: str | None) -> list[Command]:
    """Make the commands that read all that a contract's balance is made of; see `read_balance`.

    `seen_by`: the customer whose rows are the only ones seen; None for those who see every customer's.
    """
    asked = {"contract_id": contract_id, ASKING.key: seen_by}
    return [*find_contract(contract_id, seen_by=seen_by), Command(ACCOUNTS, asked), Command(TAKEN, asked)]


@dataclass(frozen=True)
class LastingBalance:
    """A balance that stays what it is until a moment, unless something is booked."""

    balance: Balance
    since: datetime
    until: datetime

    def lasts_at(self, moment: datetime) -> bool:
        return self.since <= moment < self.until


def recall_balance(
    services: Services, contract_id: str, found: Sequence[Sequence[Row]], now: datetime
) -> Balance | None:
    """Recall what the very same rows of `find_balance` were read as; None where time has changed it, or none were."""
    known = services.rows.find(LastingBalance, contract_id, found)
    return known.balance if known is not None and known.lasts_at(now) else None


async def read_balance(work: Work, contract_id: str, found: Sequence[Sequence[Row]], now: datetime) -> Balance:
    """Read the balance from the rows of `find_balance`. Raises: NotFound."""
    contract_rows, grant_rows, account_rows, taken_rows = found
    terms, grants = await read_contract(work, contract_id, contract_rows, grant_rows)
    accounts = know_accounts(ACCOUNTS.row(*row) for row in account_rows)
    balance = compute_balance(terms, grants, accounts, sum_taken([TAKEN.row(*row) for row in taken_rows]), now)
    lasting = LastingBalance(balance, now, find_next_change(terms, grants, now))
    work.services.rows.keep(contract_id, lasting, found)
    return balance


async def read_contract_balance(work: Work, contract_id: str) -> Balance:
    """Read what is left of a contract. Raises: NotFound."""
    found = await work.run_together(find_balance(contract_id, seen_by=work.confined_to))
    return await read_balance(work, contract_id, found, work.now)


def find_next_change(terms: ContractTerms, grants: Sequence[GrantTerms], moment: datetime) -> datetime:
    """Find when a balance changes by itself: a month or a grant begins or ends, or terms do change. Pure."""
    ends = [terms.month_end(terms.billing_month(moment)), *(change.effective_at for change in terms.changes)]
    for grant in grants:
        ends += [grant.effective_at, *([] if grant.expires_at is None else [grant.expires_at])]
    return min(end for end in ends if end > moment)


def compute_balance(
    terms: ContractTerms,
    grants: Sequence[GrantTerms],
    accounts: Mapping[AccountKey, KnownAccount],
    taken: Taken,
    moment: datetime,
) -> Balance:
    """Compute what is left of a contract at a moment. Pure."""
    totals: defaultdict[tuple[Unit, AccountKind], int] = defaultdict(int)
    for key, account in accounts.items():
        totals[key[:2]] += account.balance
    open_grants = OpenGrants.of(grants, list_free(accounts))
    month = terms.billing_month(moment)
    budget = terms.find_watched_budget(month)
    return Balance(
        granted_gpu_seconds=-totals[Unit.GPU_SECONDS, AccountKind.ISSUED],
        available_gpu_seconds=count_available(open_grants, Unit.GPU_SECONDS, moment),
        held_gpu_seconds=totals[Unit.GPU_SECONDS, AccountKind.HELD],
        used_gpu_seconds=totals[Unit.GPU_SECONDS, AccountKind.USED],
        granted_tokens=-totals[Unit.TOKENS, AccountKind.ISSUED],
        available_tokens=count_available(open_grants, Unit.TOKENS, moment),
        held_tokens=totals[Unit.TOKENS, AccountKind.HELD],
        used_tokens=totals[Unit.TOKENS, AccountKind.USED],
        month=month,
        budget=None if budget is None else Money(budget),
        budget_left=None if budget is None else taken.find_left(month, budget),
        held_money=Money(totals[Unit.MICRO_YUAN, AccountKind.HELD]),
        used_money=taken.sum_asked(),
    )
