"""API shapes of rate cards: what is sent to publish one is what is shown of it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from broker.contracts.cards.publishing import refuse_card
from broker.contracts.cards.rate_cards import CardStatus, ListedCard
from broker.errors import FieldError
from broker.http.shapes import RequestBody, Whole
from pricing.exact_fields import Multiplier, Price
from pricing.plans import PlanName
from pricing.rate_card import RateCard, RateCardInvalid
from pricing.tier_terms import MOST_STEPS, TierMode


def _refuse_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("write it as a day, such as 2027-01-01")  # noqa: TRY004  pydantic reports this
    return value


AS_TEXT = WithJsonSchema({"type": "string"})
PriceText = Annotated[Price, AS_TEXT]
Day = Annotated[date, BeforeValidator(_refuse_number)]
STEPS_EXAMPLE = [{"above": 100, "price": "6.5"}, {"above": 500, "price": "6.0"}]
TIERS_EXAMPLE = {"mode": "graduated", "steps": STEPS_EXAMPLE}
PLAN_EXAMPLE = {
    "per_gpu_hour": "6.8",
    "per_token": "0.00012",
    "minimum_commit_gpu_hours": 0,
    "advance": False,
    "queue": "standard",
}


class TierStepShape(RequestBody):
    """A tier beyond the first."""

    above: Whole = Field(ge=1, description="It begins above this many GPU-hours or tokens a month.", examples=[100])
    price: PriceText = Field(description="Yuan per GPU-hour or token in it.", examples=["6.5"])


class TiersShape(RequestBody):
    """Cumulative volume tiers over a month's usage of a contract; the first has the plan's own price."""

    mode: TierMode = Field(
        description="graduated: each unit at the price of its tier; volume: all at that of the tier that the month "
        "reaches; flat: one tier.",
        examples=["graduated"],
    )
    steps: list[TierStepShape] = Field(
        default_factory=list,
        max_length=MOST_STEPS,
        description="Further tiers, at rising bounds and falling prices.",
        examples=[STEPS_EXAMPLE],
    )


class MeterTiersShape(RequestBody):
    """The tiers of each meter."""

    gpu_hours: TiersShape | None = Field(default=None, description="Of GPU-hours.", examples=[TIERS_EXAMPLE])
    tokens: TiersShape | None = Field(default=None, description="Of tokens.", examples=[None])


class PlanTermsShape(RequestBody):
    """What one plan costs and gives."""

    per_gpu_hour: PriceText = Field(description="Yuan per GPU-hour, as a quoted decimal.", examples=["6.8"])
    per_token: PriceText = Field(description="Yuan per token, as a quoted decimal.", examples=["0.00012"])
    minimum_commit_gpu_hours: Whole = Field(description="Least volume at signing, in GPU-hours.", examples=[0])
    advance: bool = Field(
        strict=True, description="Whether the committed hours are paid before they are used.", examples=[False]
    )
    queue: Literal["standard", "priority", "dedicated"] = Field(
        description="The queue it gives.", examples=["standard"]
    )
    tiers: MeterTiersShape | None = Field(
        default=None,
        description="Cumulative volume tiers, settled as one line at the month's close; null: none.",
        examples=[{"gpu_hours": TIERS_EXAMPLE}],
    )


class RateCardIn(RequestBody):
    version: str = Field(min_length=1, max_length=64, description="Its name, never used before.", examples=["2027-01"])
    currency: str = Field(description="CNY.", examples=["CNY"])
    effective_from: Day = Field(
        description="In force from this day on, in each contract's time zone; a day that has begun nowhere yet.",
        examples=["2027-01-01"],
    )
    plans: dict[PlanName, PlanTermsShape] = Field(
        description="The terms of every plan.", examples=[{"on_demand": PLAN_EXAMPLE}]
    )
    gpu_multipliers: dict[str, Annotated[Multiplier, AS_TEXT]] = Field(
        default_factory=dict,
        description="How many times the price of a GPU-hour an hour of a GPU type costs; of others once.",
        examples=[{"h100-80g": "2.5"}],
    )

    def read_card(self) -> RateCard:
        """Read the card that is to be published. Raises: InvalidRequest."""
        try:
            return RateCard.from_json_dict(self.model_dump(mode="python", exclude_none=True))
        except RateCardInvalid as error:
            raise refuse_card([FieldError(each.field, each.message) for each in error.problems]) from error


class RateCardOut(BaseModel):
    id: str = Field(description="Its version.", examples=["2027-01"])
    object: Literal["rate_card"] = Field(default="rate_card", description="Kind of object.", examples=["rate_card"])
    version: str = Field(description="The same.", examples=["2027-01"])
    status: CardStatus = Field(
        description="in_force: new contracts are signed on it today; upcoming, superseded: not yet, no longer.",
        examples=["upcoming"],
    )
    currency: str = Field(description="ISO 4217 code.", examples=["CNY"])
    effective_from: date = Field(description="In force from this day on.", examples=["2027-01-01"])
    plans: dict[str, PlanTermsShape] = Field(
        description="The terms of every plan.", examples=[{"on_demand": PLAN_EXAMPLE}]
    )
    gpu_multipliers: dict[str, str] = Field(
        description="How many times the price of a GPU-hour an hour of a GPU type costs; of others once.",
        examples=[{"h100-80g": "2.5"}],
    )
    published_at: datetime = Field(description="When it was published (UTC).", examples=["2026-11-24T08:00:00Z"])

    @classmethod
    def of(cls, listed: ListedCard) -> "RateCardOut":
        written = listed.card.to_json_dict()
        own = {"id": listed.card.version, "status": listed.status, "published_at": listed.published_at}
        plans = {plan.value: written["plans"][plan.value] for plan in PlanName}
        return cls.model_validate({"gpu_multipliers": {}, **written, **own, "plans": plans})
