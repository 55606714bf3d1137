"""The ledger on paper: what a contract's balances must be, in plain Python and without any of the ledger's code."""

import math
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


@dataclass
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


@dataclass
class PaperContract:
    """`grants` is what is free in each, by id; the ids of grants in the order in which they pay."""

    plan: str
    refuses_overage: bool
    budget: int | None
    ends_at: datetime | None = None
    grants: dict[str, int] = field(default_factory=dict)
    credited: int = 0
    budgets: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    holds: dict[str, PaperHold] = field(default_factory=dict)

    def in_force(self, now: datetime) -> bool:
        return self.ends_at is None or now < self.ends_at

    def credit(self, grant_id: str, gpu_seconds: int) -> None:
        self.grants[grant_id] = gpu_seconds
        self.credited += gpu_seconds

    def free_gpu_seconds(self, now: datetime) -> int:
        return sum(self.grants.values()) if self.in_force(now) else 0

    def budget_left(self, month: str) -> int | None:
        return None if self.budget is None else self.budgets.get(month, self.budget)

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
        for grant_id in sorted(self.grants) if self.in_force(now) else []:
            drawn = min(self.grants[grant_id], gpu_seconds)
            price = Fraction(0) if self.plan == "prepaid" else own * 1_000_000 / 3600
            parts += [PaperPart(GPU, grant_id, drawn, price)] if drawn else []
            gpu_seconds -= drawn
        return parts + ([PaperPart(GPU, "overage", gpu_seconds, own * 1_000_000 / 3600)] if gpu_seconds else [])

    def split_tokens(self, tokens: int) -> list[PaperPart]:
        return [PaperPart(TOKENS, "tokens", tokens, PRICES[self.plan][1] * 1_000_000)] if tokens else []

    def split_money(self, micros: int, month: str, *, over: bool = False) -> list[PaperPart]:
        left = self.budget_left(month)
        within = micros if left is None else min(left, micros)
        parts = [PaperPart(MONEY, "budget", within, month=month)] if within else []
        beyond = micros - within if over else 0
        return parts + ([PaperPart(MONEY, "over", beyond, month=month)] if beyond else [])

    def take(self, parts: list[PaperPart]) -> list[PaperPart]:
        for part in parts:
            self.move(part, -part.held)
        return parts

    def move(self, part: PaperPart, amount: int) -> None:
        if part.source in self.grants:
            self.grants[part.source] += amount
        left = self.budget_left(part.month) if part.month is not None else None
        if part.source == "budget" and left is not None and part.month is not None:
            self.budgets[part.month] = left + amount

    def capture(self, job: str, gpu_seconds: int, tokens: int, ended_at: datetime, now: datetime) -> None:
        hold = self.holds[job]
        month = min(month_of(ended_at), month_of(now))
        while month in self.closed:
            month = month_after(month)
        self.roll(hold, month)
        before = round(hold.price("used"))
        self.draw(hold, GPU, gpu_seconds, lambda short: self.split_gpu(short, now))
        self.draw(hold, TOKENS, tokens, self.split_tokens)
        micros = round(hold.price("used")) - before
        self.draw(hold, MONEY, micros, lambda short: self.split_money(short, month, over=True), month)

    def draw(self, hold, unit, amount, split, month=None) -> None:
        short = amount - sum(part.open for part in hold.of(unit, month))
        hold.parts += self.take(split(short)) if short > 0 else []
        for part in hold.of(unit, month):
            drawn = min(part.open, amount)
            part.used += drawn
            amount -= drawn

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
