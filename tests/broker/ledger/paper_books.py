"""The ledger on paper: what a contract's balances must be, in plain Python and without any of the ledger's code."""

import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

CHINA = timedelta(hours=8)
GPU, TOKENS, MONEY = "gpu_seconds", "tokens", "micro_yuan"
PRICES = {
    "on_demand": (Fraction("6.8"), Fraction("0.00012")),
    "prepaid": (Fraction("5.2"), Fraction("0.00009")),
    "long_term": (Fraction("4.0"), Fraction("0.00006")),
}


class Refused(Exception):
    """The books do not cover it. `needed` and `available` are in the unit that is short."""

    def __init__(self, unit: str, needed: int, available: int) -> None:
        self.unit, self.needed, self.available = unit, needed, available
        super().__init__(unit)


def month_of(moment: datetime) -> str:
    return (moment + CHINA).strftime("%Y-%m")


def month_after(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12}-{number % 12 + 1:02d}"


@dataclass(eq=False)
class PaperPart:
    """Units from one source, held for one job."""

    unit: str
    source: str
    held: int
    price: Fraction = Fraction(0)
    month: str | None = None
    used: int = 0
    freed: int = 0

    @property
    def open(self) -> int:
        return self.held - self.used - self.freed


@dataclass
class PaperHold:
    month: str
    parts: list[PaperPart]
    live: bool = True

    def of(self, unit: str, month: str | None = None) -> list[PaperPart]:
        return [part for part in self.parts if part.unit == unit and part.month == month]

    def price(self, amount: str) -> Fraction:
        """Price the `held` or `used` units in micro-yuan, as far as they are billed."""
        return sum((part.price * getattr(part, amount) for part in self.parts), Fraction(0))

    def open_money(self, month: str) -> int:
        return sum(part.open for part in self.of(MONEY, month))


@dataclass
class PaperContract:
    """`grants` is what is free in each, by id; `terms` is when each begins and expires, which orders them;
    from those that `ended` nothing more is drawn.

    `budgets` is what no hold has taken of each month's; `billed` counts units by month, meter and price.
    """

    plan: str
    refuses_overage: bool
    budget: int | None
    ends_at: datetime | None = None
    grants: dict[str, int] = field(default_factory=dict)
    terms: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    credited: int = 0
    budgets: dict[str, int] = field(default_factory=dict)
    billed: dict[tuple[str, str, Fraction], int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    holds: dict[str, PaperHold] = field(default_factory=dict)

    def in_force(self, now: datetime) -> bool:
        return self.ends_at is None or now < self.ends_at

    def credit(self, grant_id: str, gpu_seconds: int, begins: datetime, expires: datetime) -> None:
        self.grants[grant_id] = gpu_seconds
        self.terms[grant_id] = (begins, expires)
        self.credited += gpu_seconds

    def void(self, grant_id: str) -> None:
        """Take back what is free of a grant; what holds have of it stays theirs."""
        self.ended.add(grant_id)
        self.credited -= self.grants[grant_id]
        self.grants[grant_id] = 0

    def refund(self, grant_id: str) -> None:
        """Take out what is free of a grant, which stays as it is."""
        self.credited -= self.grants[grant_id]
        self.grants[grant_id] = 0

    def expire(self, now: datetime) -> None:
        """Let go what is free of the grants whose term is over; a void one gives what it got back to its source."""
        for grant_id, (_begins, expires) in self.terms.items():
            if grant_id in self.ended:
                self.credited -= self.grants[grant_id] if grant_id not in self.expired else 0
                self.grants[grant_id] = 0
            elif expires <= now:
                self.ended.add(grant_id)
                self.expired.add(grant_id)
                self.grants[grant_id] = 0

    def pays(self, source: str, moment: datetime) -> bool:
        """Tell whether a source may pay for usage of a moment: a grant only within its term."""
        if source not in self.terms:
            return True
        begins, expires = self.terms[source]
        return begins <= moment < expires

    def list_paying(self, moment: datetime) -> list[str]:
        """List the grants that pay for a moment: earliest expiry, oldest, id."""
        open_now = self.grants.keys() - self.ended if self.in_force(moment) else set()
        paying = [grant_id for grant_id in open_now if self.pays(grant_id, moment)]
        return sorted(paying, key=lambda grant_id: (self.terms[grant_id][1], self.terms[grant_id][0], grant_id))

    def free_gpu_seconds(self, now: datetime) -> int:
        return sum(self.grants[grant_id] for grant_id in self.list_paying(now))

    def free_budget(self, month: str) -> int | None:
        return None if self.budget is None else self.budgets.get(month, self.budget)

    def due(self, month: str | None = None) -> int:
        """Micro-yuan on the invoices of a month, or of all: each meter at each price is rounded once, to the fen."""
        return sum(
            round(price * count / 10_000) * 10_000
            for (billed_in, _unit, price), count in self.billed.items()
            if month in {None, billed_in}
        )

    def budget_left(self, month: str) -> int | None:
        held = sum(hold.open_money(month) for hold in self.holds.values() if hold.live)
        return None if self.budget is None else max(0, self.budget - self.due(month) - held)

    def place(self, job: str, gpu_seconds: int, tokens: int, now: datetime) -> PaperHold:
        if self.refuses_overage and gpu_seconds > self.free_gpu_seconds(now):
            raise Refused(GPU, gpu_seconds, self.free_gpu_seconds(now))
        parts = self.split_gpu(gpu_seconds, now) + self.split_tokens(tokens)
        hold = PaperHold(month_of(now), parts)
        micros, left = math.ceil(hold.price("held")), self.budget_left(hold.month)
        if left is not None and micros > left:
            raise Refused(MONEY, micros, left)
        self.take(parts)
        hold.parts += self.take(self.split_money(micros, hold.month))
        self.holds[job] = hold
        return hold

    def split_gpu(self, gpu_seconds: int, now: datetime) -> list[PaperPart]:
        own, _ = PRICES[self.plan]
        parts = []
        for grant_id in self.list_paying(now):
            drawn = min(self.grants[grant_id], gpu_seconds)
            price = Fraction(0) if self.plan == "prepaid" else own * 1_000_000 / 3600
            parts += [PaperPart(GPU, grant_id, drawn, price)] if drawn else []
            gpu_seconds -= drawn
        return parts + ([PaperPart(GPU, "overage", gpu_seconds, own * 1_000_000 / 3600)] if gpu_seconds else [])

    def split_tokens(self, tokens: int) -> list[PaperPart]:
        return [PaperPart(TOKENS, "tokens", tokens, PRICES[self.plan][1] * 1_000_000)] if tokens else []

    def split_money(self, micros: int, month: str) -> list[PaperPart]:
        free = self.free_budget(month)
        within = micros if free is None else min(free, micros)
        return [PaperPart(MONEY, "budget", within, month=month)] if within else []

    def take(self, parts: list[PaperPart]) -> list[PaperPart]:
        for part in parts:
            self.move(part, -part.held)
        return parts

    def move(self, part: PaperPart, amount: int) -> None:
        if part.source in self.grants:
            self.grants[part.source] += amount
        free = self.free_budget(part.month) if part.month is not None else None
        if free is not None and part.month is not None:
            self.budgets[part.month] = free + amount

    def capture(self, job: str, gpu_seconds: int, tokens: int, ended_at: datetime, now: datetime) -> None:
        """Charge what keeps every promise; what does not is borne, and in no book of the customer's."""
        hold, moment = self.holds[job], min(ended_at, now)
        month = month_of(moment)
        while month in self.closed:
            month = month_after(month)
        self.roll(hold, month)
        if self.ends_at is not None and moment > self.ends_at:
            return
        free = self.free_budget(month)
        room = None if free is None else round(hold.price("used")) + free + hold.open_money(month)
        before = round(hold.price("used"))
        for unit, amount in ((GPU, gpu_seconds), (TOKENS, tokens)):
            self.charge(hold, unit, amount, month, room, moment)
        micros = round(hold.price("used")) - before
        self.draw_money(hold, micros, month)

    def charge(self, hold, unit, amount, month, room, moment) -> None:
        """Charge units as long as the job's price stays within `room`, and the month's invoice within its budget."""
        used = hold.price("used")
        units = [(part.price, part.open) for part in self.plan_payers(hold, unit, amount, moment)]

        def fits(count: int) -> bool:
            if room is None:
                return True
            exact, billed = used, dict(self.billed)
            for price, available in units:
                taken = min(count, available)
                count -= taken
                exact += price * taken
                billed[month, unit, price] = billed.get((month, unit, price), 0) + taken
            invoiced = sum(round(p * n / 10_000) * 10_000 for (m, _u, p), n in billed.items() if m == month)
            return round(exact) <= room and invoiced <= self.budget

        amount = min(amount, sum(available for _price, available in units))
        if not fits(amount):
            amount = bisect_left(range(amount), True, key=lambda fewer: not fits(fewer + 1))
        self.draw(hold, unit, amount, moment)
        for price, available in units:
            taken = min(amount, available)
            amount -= taken
            self.billed[month, unit, price] = self.billed.get((month, unit, price), 0) + taken

    def plan_payers(self, hold, unit, amount, moment) -> list[PaperPart]:
        """Plan what pays: what the hold has of grants, what is free in them, what it has beside, and overage."""
        own = [part for part in hold.of(unit) if self.pays(part.source, moment)]
        granted = [part for part in own if part.source in self.terms]
        beside = [part for part in own if part.source not in self.terms]
        amount = max(0, amount - sum(part.open for part in granted))
        free = [] if unit == TOKENS else [part for part in self.split_gpu(amount, moment) if part.source in self.terms]
        lacking = max(0, amount - sum(part.open for part in [*free, *beside]))
        return granted + free + beside + self.split_overage(unit, lacking)

    def split_overage(self, unit: str, amount: int) -> list[PaperPart]:
        if unit == TOKENS:
            return self.split_tokens(amount)
        price = PRICES[self.plan][0] * 1_000_000 / 3600
        return [PaperPart(GPU, "overage", amount, price)] if amount and not self.refuses_overage else []

    def draw(self, hold, unit, amount, moment) -> None:
        payers = self.plan_payers(hold, unit, amount, moment)
        added = self.take([part for part in payers if part not in hold.of(unit)])
        hold.parts += added
        for part in payers:
            drawn = min(part.open, amount)
            part.used += drawn
            amount -= drawn
        assert amount == 0, "what is charged is covered"
        replaced = sum(part.held for part in added)
        for part in hold.of(unit):
            if part.source not in self.terms:
                freed = min(part.open, replaced)
                part.freed += freed
                replaced -= freed

    def draw_money(self, hold, micros, month) -> None:
        lacking = micros - sum(part.open for part in hold.of(MONEY, month))
        hold.parts += self.take(self.split_money(lacking, month)) if lacking > 0 else []
        for part in hold.of(MONEY, month):
            drawn = min(part.open, micros)
            part.used += drawn
            micros -= drawn
        assert micros == 0, "what is charged is covered"

    def roll(self, hold: PaperHold, month: str) -> None:
        if month <= hold.month:
            return
        hold.month = month
        stale = [part for part in hold.parts if part.month is not None and part.month < month]
        rest = sum(part.open for part in stale)
        self.free(stale)
        hold.parts += self.take(self.split_money(rest, month))

    def end(self, job: str) -> None:
        hold = self.holds[job]
        if hold.live:
            hold.live = False
            self.free(hold.parts)

    def free(self, parts: list[PaperPart]) -> None:
        for part in parts:
            self.move(part, part.open)
            part.freed += part.open

    def totals(self, amount: str) -> dict[str, int]:
        """Add up `open` or `used` units over all holds, by unit."""
        sums: defaultdict[str, int] = defaultdict(int)
        for hold in self.holds.values():
            for part in hold.parts:
                sums[part.unit] += getattr(part, amount)
        return sums
