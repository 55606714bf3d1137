"""What a contract has to spend (账户总览): available = cash + credit + grants − frozen; now, in its parts."""

from dataclasses import dataclass

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantStatus
from broker.ledger.books.money_books import read_credit
from broker.ledger.grants.grant_balances import GrantBalance, read_grant_balances
from broker.ledger.limits.budgets import read_taken
from broker.ledger.limits.credit_limits import find_credit_room, tax_on
from broker.ledger.reading.balance import Balance, read_contract_balance
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class AccountOverview:
    """What a contract has to spend, and of what it is made.

    `cash` is the customer's credit; `credit_left` what its credit limit leaves before what live jobs hold, None where
    it has no limit; `grants` what all that is not used of its grants is worth, `frozen` what live jobs hold of money
    (with its tax) and of grants.
    """

    terms: ContractTerms
    balance: Balance
    cash: Money
    credit_limit: Money | None
    credit_left: Money | None
    owed: Money | None
    grants: Money
    frozen: Money
    grant_balances: tuple[GrantBalance, ...]

    @property
    def available(self) -> Money:
        """Tell what is available for new jobs; without a credit limit more is sold on credit."""
        return self.cash + (self.credit_left or Money.zero()) + self.grants - self.frozen


async def read_account_overview(work: Work, contract_id: str) -> AccountOverview:
    """Read what a contract has to spend, in the same number of statements whatever it has. Raises: NotFound."""
    terms = await contracts.get_contract(work, contract_id)
    balance = await read_contract_balance(work, contract_id)
    taken = await read_taken(work, contract_id)
    room = await find_credit_room(work, terms, taken)
    grants = await contracts.list_grants(work, contract_id)
    balances = tuple(await read_grant_balances(work, grants))
    usable = [each for each in balances if is_usable(each, work)]
    held_units = sum((each.terms.price(each.held) for each in usable), Money.zero())
    return AccountOverview(
        terms=terms,
        balance=balance,
        cash=await read_credit(work, contract_id),
        credit_limit=None if room is None else room.limit,
        credit_left=None if room is None else max(Money.zero(), room.limit - room.owed),
        owed=None if room is None else room.owed,
        grants=sum((each.terms.price(each.free + each.held) for each in usable), Money.zero()),
        frozen=balance.held_money + tax_on(terms, balance.held_money) + held_units,
        grant_balances=balances,
    )


def is_usable(balance: GrantBalance, work: Work) -> bool:
    """Tell whether a grant may pay for usage now."""
    return balance.terms.status == GrantStatus.ACTIVE and balance.terms.is_within_term(work.now)
