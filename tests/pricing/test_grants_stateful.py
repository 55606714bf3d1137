"""Grants in any interleaving of use, release, refund, voiding and expiry: no unit appears, vanishes or counts twice."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pricing.grants import Grant, GrantKind, GrantScope, UsageOrigin, burn_down, order_of_deduction
from pricing.usage import Unit
from tests.properties import scale

BEGIN = datetime(2028, 2, 27, tzinfo=UTC)  # two days before a leap day
PROJECTS, TYPES = st.sampled_from([None, "prj_a"]), st.sampled_from([None, "rtx-4090"])
METERS = st.sampled_from([Unit.GPU_SECONDS, Unit.TOKENS])
PICK = st.integers(0, 100)


@dataclass
class Book:
    """One grant and where its units are; `remaining` of the grant is what is free."""

    grant: Grant
    quantity: int
    ended: bool = False
    used: int = 0
    gone: int = 0
    held: dict[int, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.grant.remaining

    def add(self, change: int) -> None:
        self.grant = replace(self.grant, remaining=self.free + change)

    def let_go(self) -> None:
        self.gone += self.free
        self.add(-self.free)


class GrantsMachine(RuleBasedStateMachine):
    """Grants on paper, burnt down by the real rule."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.books: dict[str, Book] = {}
        self.origins: list[UsageOrigin] = []

    @rule(
        quantity=st.integers(1, 500),
        scope=st.builds(GrantScope, METERS, PROJECTS, TYPES),
        kind=st.sampled_from(GrantKind),
        starts=st.integers(0, 2),
        lasts=st.integers(1, 4),
    )
    def give(self, quantity: int, scope: GrantScope, kind: GrantKind, starts: int, lasts: int) -> None:
        begins = self.now + timedelta(days=starts)
        name = f"gra_{len(self.books)}"
        grant = Grant(name, quantity, Decimal("5.2"), scope, kind, begins, begins + timedelta(days=lasts))
        self.books[name] = Book(grant, quantity)

    @rule(quantity=st.integers(1, 400), origin=st.builds(UsageOrigin, METERS, PROJECTS, TYPES, st.booleans()))
    def hold(self, quantity: int, origin: UsageOrigin) -> None:
        open_ones = [book.grant for book in self.books.values() if not book.ended]
        burnt = burn_down(open_ones, quantity, origin=origin, moment=self.now)
        payers = [self.books[draw.grant_id] for draw in burnt.draws]
        assert [book.grant for book in payers] == sorted((book.grant for book in payers), key=order_of_deduction)
        assert sum(draw.quantity for draw in burnt.draws) + burnt.shortfall == quantity
        for draw, book in zip(burnt.draws, payers, strict=True):
            assert book.grant.effective_at <= self.now
            book.held[len(self.origins)] = draw.quantity
            book.add(-draw.quantity)
        self.origins.append(origin)

    @rule(index=PICK, quantity=st.integers(1, 400), ago=st.integers(0, 3))
    @precondition(lambda self: self.origins)
    def capture(self, index: int, quantity: int, ago: int) -> None:
        """Use what a hold has, of the grants that pay for that moment, however late it is told."""
        number, moment = index % len(self.origins), self.now - timedelta(days=ago)
        for book in self.books.values():
            if book.grant.pays_for(self.origins[number], moment):
                taken = min(quantity, book.held.get(number, 0))
                book.held[number] = book.held.get(number, 0) - taken
                book.used += taken
                quantity -= taken

    @rule(index=PICK)
    @precondition(lambda self: self.origins)
    def release(self, index: int) -> None:
        for book in self.books.values():
            book.add(book.held.pop(index % len(self.origins), 0))

    @rule(index=PICK, how=st.sampled_from(["refund", "void"]))
    @precondition(lambda self: self.books)
    def take_out(self, index: int, how: str) -> None:
        book = list(self.books.values())[index % len(self.books)]
        book.ended = book.ended or how == "void"
        book.let_go()

    @rule()
    def expire(self) -> None:
        for book in self.books.values():
            if book.ended or (book.grant.expires_at is not None and book.grant.expires_at <= self.now):
                book.ended = True
                book.let_go()

    @rule(hours=st.integers(1, 40))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @invariant()
    def every_unit_is_somewhere_and_none_is_there_twice(self) -> None:
        for book in self.books.values():
            held = sum(book.held.values())
            assert min(book.free, held, book.used, book.gone) >= 0
            assert book.free + held + book.used + book.gone == book.quantity


TestGrants = GrantsMachine.TestCase
TestGrants.settings = settings(max_examples=scale(30), stateful_step_count=40)
