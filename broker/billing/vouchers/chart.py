"""A chart of accounts: finance's code and name for each account of money, and by whom it is told apart. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker import errors
from broker.ledger.books.model import AccountKind
from broker.ledger.reading.journal import CHART


class Auxiliary(StrEnum):
    """By what the entries of an account are told apart (辅助核算)."""

    NONE = "none"
    CUSTOMER = "customer"
    CONTRACT = "contract"


@dataclass(frozen=True)
class MappedAccount:
    """What finance calls an account of money: code (科目编码) and name (科目名称)."""

    account: AccountKind
    code: str
    name: str
    auxiliary: Auxiliary

    def to_json(self) -> dict[str, str]:
        return {"account": self.account, "code": self.code, "name": self.name, "auxiliary": self.auxiliary}

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "MappedAccount":
        return cls(AccountKind(kept["account"]), kept["code"], kept["name"], Auxiliary(kept["auxiliary"]))


Chart = Mapping[AccountKind, MappedAccount]
OF_THE_HOUSE = frozenset({AccountKind.CASH, AccountKind.UNMATCHED_RECEIPTS, AccountKind.ROUNDING})
STANDARD: Chart = {
    kind: MappedAccount(
        kind, account.code, account.name, Auxiliary.NONE if kind in OF_THE_HOUSE else Auxiliary.CUSTOMER
    )
    for kind, account in CHART.items()
}


def read_chart(kept: Iterable[Mapping[str, Any]]) -> Chart:
    """Read a chart as it is kept."""
    return {each.account: each for each in map(MappedAccount.read, kept)}


def check_chart(told: Iterable[MappedAccount]) -> Chart:
    """Check that each account of money is mapped once at most. Raises: InvalidRequest, naming the one at fault."""
    chart: dict[AccountKind, MappedAccount] = {}
    for place, each in enumerate(told):
        if each.account not in CHART:
            known = ", ".join(kind.value for kind in CHART)
            raise errors.invalid_field(f"accounts.{place}.account", f"is no account of money; those are {known}")
        if each.account in chart:
            raise errors.invalid_field(f"accounts.{place}.account", "is mapped before; name each account once")
        chart[each.account] = each
    return chart


def list_unmapped(chart: Chart) -> list[AccountKind]:
    """List the accounts of money that a chart has no code for."""
    return [kind for kind in CHART if kind not in chart]
