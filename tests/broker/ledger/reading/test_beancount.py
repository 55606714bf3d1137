"""The ledger in Beancount form: names, commodities and amounts as that program reads them."""

from datetime import UTC, date, datetime

import pytest

from broker.ledger.books.model import AccountKind
from broker.ledger.reading.beancount import ROOT_OF, BookedAccount, BookedEntry, BookedTransfer, write_ledger
from pricing.usage import Unit

MOMENT = datetime(2026, 11, 10, 4, 0, tzinfo=UTC)
CASH = BookedAccount("acc_1", AccountKind.CASH, Unit.MICRO_YUAN, 2_600_000_000, "con_01k")
OWED = BookedAccount("acc_2", AccountKind.RECEIVABLE, Unit.MICRO_YUAN, -2_600_000_000, "con_01k")


def test_every_kind_of_account_has_a_root() -> None:
    assert ROOT_OF.keys() == set(AccountKind)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (CASH, "Assets:Cash:Con-01k"),
        (
            BookedAccount("a", AccountKind.UNMATCHED_RECEIPTS, Unit.MICRO_YUAN, 0, None),
            "Liabilities:Unmatched-receipts:House",
        ),
        (
            BookedAccount("a", AccountKind.GRANTED, Unit.TOKENS, 0, "con_1", grant_id="gra_2"),
            "Assets:Granted:Con-1:Gra-2",
        ),
        (
            BookedAccount("a", AccountKind.BUDGET, Unit.MICRO_YUAN, 0, "con_1", month="2026-11"),
            "Assets:Budget:Con-1:2026-11",
        ),
        (
            BookedAccount("a", AccountKind.BORNE, Unit.TOKENS, 0, "con_1", cause="machine_lost"),
            "Expenses:Borne:Con-1:Machine-lost",
        ),
    ],
)
def test_account_is_named_by_what_tells_it_apart(account: BookedAccount, name: str) -> None:
    assert account.name == name


@pytest.mark.parametrize(
    ("kind", "unit", "amount", "written"),
    [
        (AccountKind.USED, Unit.GPU_SECONDS, -7, "-7 GPU-SECONDS"),
        (AccountKind.USED, Unit.TOKENS, 12, "12 TOKENS"),
        (AccountKind.USED, Unit.MICRO_YUAN, 1, "0.000001 CNY-RESERVED"),
        (AccountKind.REVENUE, Unit.MICRO_YUAN, -1_500_000, "-1.500000 CNY"),
        (AccountKind.CASH, Unit.MICRO_YUAN, -1, "-0.000001 CNY"),
    ],
)
def test_amount_has_its_commodity(kind: AccountKind, unit: Unit, amount: int, written: str) -> None:
    assert BookedAccount("a", kind, unit, 0, "con_1").write(amount) == written


def test_transfer_has_both_sides_and_each_account_its_balance() -> None:
    transfer = BookedTransfer("tra_1", "payment_received", MOMENT, 'inv "1"', [BookedEntry(CASH, OWED, 2_600_000_000)])
    text = "".join(write_ledger([CASH, OWED], [transfer], date(2026, 11, 10)))
    assert text.splitlines()[4:] == [
        "1970-01-01 open Assets:Cash:Con-01k CNY",
        "1970-01-01 open Assets:Receivable:Con-01k CNY",
        "",
        '2026-11-10 * "payment_received"',
        '  transfer: "tra_1"',
        '  booked-at: "2026-11-10T04:00:00+00:00"',
        '  reference: "inv \\"1\\""',
        "  Assets:Cash:Con-01k  2600.000000 CNY",
        "  Assets:Receivable:Con-01k  -2600.000000 CNY",
        "",
        "2026-11-11 balance Assets:Cash:Con-01k  2600.000000 CNY",
        "2026-11-11 balance Assets:Receivable:Con-01k  -2600.000000 CNY",
    ]
