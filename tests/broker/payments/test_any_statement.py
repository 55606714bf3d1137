"""Random statements: each line is booked once, cash is their sum, and order, repetition and chunks change nothing."""

import asyncio
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import strategies as st
from sqlalchemy import select

from broker.config import Settings
from broker.ledger.tables import Account
from broker.processes.boot import DatabaseUrls
from pricing.money import Money
from tests.broker.conftest import ManualClock
from tests.broker.payments.receipts import Debtor, line, make_debtor, order
from tests.broker.running_jobs import broken_rules
from tests.broker.worlds import World, draw_seed, few_runs, open_world

SEED = draw_seed("STATEMENT_SEED")
HOURS = (10, 10)  # what each customer ordered, at 5.20: two of the same amount
AMOUNTS = st.sampled_from([1, 5_200, 5_201, 10_400, 15_600])
FEN = 10_000


@dataclass(frozen=True)
class Told:
    """A line that names some of the invoices, by their places, and comes from one of the payers."""

    fen: int
    names: tuple[int, ...]
    payer: int
    day: int


LINES = st.lists(
    st.builds(
        Told,
        AMOUNTS,
        st.lists(st.integers(0, 3), max_size=2, unique=True).map(tuple),
        st.integers(0, 2),
        st.integers(1, 9),
    ),
    min_size=3,
    max_size=8,
)


@dataclass
class Place:
    """Two customers with open orders, and the prefix of serial numbers and accounts that are theirs alone."""

    name: str
    debtors: list[Debtor]
    invoices: list[Any]

    def write(self, told: list[Told]) -> list[dict[str, str]]:
        return [
            line(
                f"{each.fen / 100:.2f}",
                " ".join(self.invoices[place]["payment_reference"] for place in each.names),
                serial=f"{self.name}{number:04d}",
                value_on=f"2026-11-{each.day:02d}",
                payer_account=f"{self.name}{each.payer}" if each.payer else "",
            )
            for number, each in enumerate(told)
        ]


async def open_place(world: World, name: str) -> Place:
    debtors = [await make_debtor(world.api) for _ in range(2)]
    for debtor in debtors:
        await world.api.post(f"/invoices/{debtor.invoice_id}/pay")
    invoices = [await order(world.api, debtor, str(hours)) for debtor in debtors for hours in HOURS]
    return Place(name, debtors, invoices)


async def read_books(world: World, place: Place) -> list[tuple[str, str]]:
    """Read what is due of each invoice, and what each customer has as credit."""
    dues = [await world.api.get(f"/invoices/{each['id']}") for each in place.invoices]
    books = [(each["status"], each["due"]["amount"]) for each in dues]
    for debtor in place.debtors:
        accounts = (await world.api.get("/ledger/accounts", contract_id=debtor.contract_id, limit=100))["data"]
        credit = [each["amount"]["amount"] for each in accounts if each["kind"] == "customer_credit"]
        books.append(("credit", credit[0] if credit else "0.00"))
    return books


async def read_cash(world: World) -> int:
    async with world.system.work() as work:
        query = select(Account.balance).where(Account.kind == "cash", Account.contract_id.is_(None))
        return int(await work.session.scalar(query) or 0) // FEN


async def check(world: World, number: int, told: list[Told], shuffled: list[int]) -> None:
    one, two = await open_place(world, f"a{number}-"), await open_place(world, f"b{number}-")
    before = await read_cash(world)
    lines = one.write(told)
    first = await world.api.post("/payments", {"lines": lines}, expect=201)
    again = await world.api.post("/payments", {"lines": lines[::-1]}, expect=201)
    assert set(again["counts"]) == {"duplicate"}
    assert await read_cash(world) - before == sum(each.fen for each in told)
    turned = two.write(told)
    second = await world.api.post("/payments", {"lines": [turned[place] for place in shuffled]}, expect=201)
    assert second["counts"] == first["counts"]
    assert await read_books(world, one) == await read_books(world, two)
    for answer in first["lines"]:
        payment = await world.api.get(f"/payments/{answer['payment_id']}")
        parts = [Money.from_decimal(each["amount"]["amount"]) for each in payment["allocations"]]
        left = Money.from_decimal(payment["unmatched"]["amount"])
        assert sum(parts, left) == Money.from_decimal(payment["amount"]["amount"])
        assert (answer["outcome"] == "unmatched") == (not parts)
    assert await broken_rules(world.system) == {}


def test_any_statement_gives_the_same_books_in_any_order(
    settings: Settings, urls: DatabaseUrls, clock: ManualClock
) -> None:
    with asyncio.Runner() as runner:
        opening = open_world(runner, settings, urls, clock)
        world = runner.run(opening.__aenter__())
        numbers = iter(range(1000))

        @hypothesis.seed(SEED)
        @few_runs("STATEMENT_SEED", examples=2, steps=1)
        @hypothesis.given(told=LINES, draw=st.randoms(use_true_random=False))
        def run(told: list[Told], draw: Any) -> None:
            shuffled = draw.sample(range(len(told)), len(told))
            world.run(check(world, next(numbers), told, shuffled))

        run()
        runner.run(opening.__aexit__(None, None, None))
