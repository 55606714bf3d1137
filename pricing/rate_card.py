"""Rate cards: what each plan costs, from a day on. A published card never changes; a new price is a new version."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from typing import Any, Literal, Self, assert_never

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pricing.catalog import CATALOG, find_gpu, load_gpus
from pricing.exact_fields import PRICE_PLACES, Multiplier, Price, write_plainly
from pricing.field_problem import FieldProblem
from pricing.plans import PlanName
from pricing.tier_terms import MeterTiers, find_tier_problems
from pricing.unique_yaml import load_yaml
from pricing.usage import METERS, Unit, UnknownMeter


class RateCardInvalid(ValueError):
    """The rate card does not validate; `problems` names each field and what is wrong with it."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


class NoPriceInForce(LookupError):
    """No rate card is in force on this day."""

    def __init__(self, on: date) -> None:
        self.on = on
        super().__init__(f"no rate card is in force on {on.isoformat()}")


SECONDS_PER_HOUR = 3600
ONE = Decimal(1)


class PlanTerms(BaseModel):
    """What one plan costs and gives.

    Units: the card's currency per GPU-hour and per token; the least commitment in GPU-hours. With `advance` the
    committed hours are paid for before they can be used. With `tiers` the prices are those of the first tier.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    per_gpu_hour: Price
    per_token: Price
    minimum_commit_gpu_hours: StrictInt = Field(ge=0)
    advance: StrictBool
    queue: Literal["standard", "priority", "dedicated"]
    tiers: MeterTiers = MeterTiers()

    def price_of(self, meter: Unit) -> Decimal:
        """Pick the price of one GPU-hour or of one token, of a GPU type without a multiplier."""
        return self.per_gpu_hour if meter == Unit.GPU_SECONDS else self.per_token


@dataclass(frozen=True)
class UnitPrices:
    """What work costs on one plan by one card, on one GPU type. Units: the currency per GPU-hour and per token, exact.

    `gpu_multiplier` is the type's, and `per_gpu_hour` has it in.
    """

    plan: PlanName
    per_gpu_hour: Decimal
    per_token: Decimal
    rate_card_version: str
    currency: str
    gpu_multiplier: Decimal = ONE

    @cached_property
    def per_gpu_second(self) -> tuple[int, int]:
        """The exact price of one GPU-second, as dividend and divisor: worked out once for all that it prices."""
        dividend, divisor = self.per_gpu_hour.as_integer_ratio()
        return dividend, divisor * SECONDS_PER_HOUR

    def of(self, meter: Unit) -> Decimal:
        """Pick the price of one GPU-hour or of one token. Raises: UnknownMeter."""
        match meter:
            case Unit.GPU_SECONDS:
                return self.per_gpu_hour
            case Unit.TOKENS:
                return self.per_token
            case Unit.MICRO_YUAN:
                raise UnknownMeter(meter)
            case _:
                assert_never(meter)

    def charge_as(self, other: "UnitPrices") -> bool:
        """Tell whether the same work costs the same by both, whatever plan and card they are of."""
        mine, theirs = ((each.currency, each.per_gpu_hour, each.per_token) for each in (self, other))
        return mine == theirs


class RateCard(BaseModel):
    """The prices of every plan, in force from a day on until a later card takes over.

    `gpu_multipliers` says by SKU how many times the price of a GPU-hour an hour of that type costs; of others once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: str = Field(min_length=1, max_length=64)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    effective_from: date
    plans: dict[PlanName, PlanTerms]
    gpu_multipliers: dict[str, Multiplier] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_plans(self) -> Self:
        missing = [plan for plan in PlanName if plan not in self.plans]
        if missing:
            raise _make_fault("plans", f"every plan needs terms; missing under plans: {', '.join(missing)}")
        if self.plans[PlanName.ON_DEMAND].minimum_commit_gpu_hours:
            raise _make_fault("plans.on_demand.minimum_commit_gpu_hours", "must be 0: on-demand commits to nothing")
        return self

    @property
    def has_tiers(self) -> bool:
        """Tell whether any plan has volume tiers."""
        return any(terms.tiers != MeterTiers() for terms in self.plans.values())

    def terms(self, plan: PlanName) -> PlanTerms:
        return self.plans[plan]

    def prices(self, plan: PlanName, gpu_type: str | None = None) -> UnitPrices:
        """Take the prices of one plan out of the card, on a GPU type by any spelling; None: one without a multiplier.

        Tokens cost the same on every type.
        """
        terms, multiplier = self.terms(plan), self.get_multiplier(gpu_type)
        per_gpu_hour = terms.per_gpu_hour
        if multiplier != ONE:
            per_gpu_hour = Decimal(write_plainly(per_gpu_hour * multiplier))
        return UnitPrices(plan, per_gpu_hour, terms.per_token, self.version, self.currency, multiplier)

    def get_multiplier(self, gpu_type: str | None) -> Decimal:
        """Get how many times the price of a GPU-hour an hour of a type costs: once, where the card does not name it."""
        if gpu_type is None or not self.gpu_multipliers:
            return ONE
        gpu = find_gpu(gpu_type)
        return self.gpu_multipliers.get(gpu_type if gpu is None else gpu.sku, ONE)

    def prices_by_plan(self, gpu_type: str | None = None) -> dict[PlanName, UnitPrices]:
        """Take the prices of every plan out of the card, on-demand first."""
        return {plan: self.prices(plan, gpu_type) for plan in PlanName}

    def to_json_dict(self) -> dict[str, Any]:
        """Write the canonical form that the broker publishes: decimals are plain strings without trailing zeros.

        What a card leaves out is not written, so that a card of an earlier release keeps its form.
        """
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def from_json_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Read the canonical form. Raises: RateCardInvalid."""
        try:
            card = cls.model_validate(dict(raw))
        except ValidationError as error:
            raise RateCardInvalid([_describe(dict(detail)) for detail in error.errors()]) from error
        problems = [*_find_unkept_prices(card), *_find_tier_problems(card)]
        if problems:
            raise RateCardInvalid(problems)
        return card


def _find_unkept_prices(card: RateCard) -> Iterator[FieldProblem]:
    """Find the multipliers by which a plan's price gets more decimal places than the books keep."""
    for sku, multiplier in card.gpu_multipliers.items():
        for plan, terms in card.plans.items():
            price = terms.per_gpu_hour * multiplier
            if price != round(price, PRICE_PLACES):
                message = f"times {terms.per_gpu_hour} of {plan.value} has more than {PRICE_PLACES} decimal places"
                yield FieldProblem(f"gpu_multipliers.{sku}", message)


def _find_tier_problems(card: RateCard) -> Iterator[FieldProblem]:
    for plan, terms in card.plans.items():
        for meter in METERS:
            tiers, name = terms.tiers.of(meter), "gpu_hours" if meter == Unit.GPU_SECONDS else "tokens"
            for problem in [] if tiers is None else find_tier_problems(tiers, terms.price_of(meter)):
                yield FieldProblem(f"plans.{plan.value}.tiers.{name}.{problem.field}", problem.message)


def check_gpu_types(card: RateCard) -> None:
    """Refuse multipliers of GPU types that the catalogue does not have under these very names.

    A new card is checked; one that was published stays readable, whatever becomes of the catalogue.
    Raises: RateCardInvalid.
    """
    problems = []
    for name in card.gpu_multipliers:
        gpu = find_gpu(name)
        if gpu is None or gpu.sku != name:
            cure = f"known GPU types: {', '.join(sorted(load_gpus()))}" if gpu is None else f"write {gpu.sku}"
            problems.append(FieldProblem(f"gpu_multipliers.{name}", f"no GPU type of the catalogue; {cure}"))
    if problems:
        raise RateCardInvalid(problems)


def choose_card(cards: Iterable[RateCard], day: date) -> RateCard:
    """Choose the card that counts on a day: of those that have begun the latest; of one day the later version.

    Raises: NoPriceInForce.
    """
    begun = [card for card in cards if card.effective_from <= day]
    if not begun:
        raise NoPriceInForce(day)
    return max(begun, key=lambda card: (card.effective_from, card.version))


def parse_rate_card(text: str) -> RateCard:
    """Read a new rate card from YAML; prices are quoted strings, since a YAML float is not exact.

    Raises: RateCardInvalid.
    """
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        raise RateCardInvalid([FieldProblem("rate_card", f"not YAML: {error}")]) from error
    if not isinstance(raw, Mapping):
        raise RateCardInvalid([FieldProblem("rate_card", "a mapping with version, currency, effective_from and plans")])
    card = RateCard.from_json_dict(raw)
    check_gpu_types(card)
    return card


@cache
def load_rate_cards() -> dict[str, RateCard]:
    """Load the rate cards of the catalogue, by version; a file is named after the version in it.

    Raises: RateCardInvalid.
    """
    folder = CATALOG / "rate_cards"
    cards = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".yaml"):
            continue
        card = parse_rate_card(entry.read_text(encoding="utf-8"))
        if entry.name != f"{card.version}.yaml":
            raise RateCardInvalid([FieldProblem("version", f"{card.version!r} is in the file {entry.name}")])
        cards[card.version] = card
    return cards


def _make_fault(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("fault", "{message}", {"message": message, "field": field})


def _describe(detail: dict[str, Any]) -> FieldProblem:
    told = detail.get("ctx", {}).get("field", "rate_card")
    field = ".".join(str(part) for part in detail["loc"] if part != "[key]") or told
    return FieldProblem(field, str(detail["msg"]).removeprefix("Value error, "))
