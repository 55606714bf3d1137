"""API shapes of quotes, and of the training configuration in them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from broker.contracts.prices import PlanPrices
from broker.datasets.schemas import FindingOut
from broker.errors import DomainError
from broker.http.problems import describe_error
from broker.http.shapes import MoneyOut, ProblemOut, RequestBody, as_hours, created_at_field
from broker.quotes.budget import MaxCostBuys
from broker.quotes.estimate import JobEstimate
from broker.quotes.findings import QuotedFindings
from broker.quotes.offers import PricedOffer, QuoteOffers
from broker.quotes.prices import PlanQuote
from broker.quotes.service import QuoteTerms
from broker.quotes.tables import Quote
from pricing.budget import JobPart
from pricing.estimate.run_estimate import GpuSeconds
from pricing.money import Money
from pricing.plans import PlanName
from pricing.quote import PlanPrice
from pricing.resources.memory import FitJudgement
from pricing.training.config import PATH_KEYS, TrainingConfig

CONFIG_EXAMPLE = {
    "base_model": "smollm2-135m-instruct",
    "lora_rank": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "batch_size": 4,
    "epochs": 2,
    "learning_rate": 2e-4,
    "max_length": 256,
    "save_steps": 10,
}


def describe_config() -> dict[str, Any]:
    """Describe the trainer's own schema without the keys that name paths: a job gets its data by `dataset_id`."""
    schema = TrainingConfig.model_json_schema()
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in PATH_KEYS}
    return {**schema, "examples": [CONFIG_EXAMPLE]}


ConfigIn = Annotated[
    dict[str, Any],
    WithJsonSchema(describe_config()),
    Field(description="The keys of the trainer's YAML file.", examples=[CONFIG_EXAMPLE]),
]


CONTRACT_WORDS = "The contract to quote under; needed only where several are in force."


class QuoteIn(RequestBody):
    config: ConfigIn
    dataset_id: str = Field(description="An uploaded data set.", examples=["dat_01k"])
    max_cost: Decimal | None = Field(
        default=None,
        gt=0,
        max_digits=15,
        decimal_places=6,
        description="A sum in yuan: the answer tells in `max_cost_buys` how much of the job it pays for.",
        examples=["1.00"],
    )
    contract_id: str | None = Field(
        default=None,
        description=CONTRACT_WORDS,
        examples=["con_01k"],
    )

    def read_terms(self) -> QuoteTerms:
        max_cost = None if self.max_cost is None else Money.from_decimal(self.max_cost)
        return QuoteTerms(self.contract_id, max_cost)


class SecondsRange(BaseModel):
    p50: int = Field(description="GPU-seconds; half of such jobs need no more.", examples=[95])
    p90: int = Field(description="GPU-seconds; nine of ten such jobs need no more.", examples=[180])

    @classmethod
    def of(cls, seconds: GpuSeconds) -> "SecondsRange":
        return cls(p50=seconds.p50, p90=seconds.p90)


class HoursRange(BaseModel):
    p50: str = Field(description="GPU-hours, to four places.", examples=["0.0264"])
    p90: str = Field(description="GPU-hours, to four places; the hold is made for this.", examples=["0.0500"])

    @classmethod
    def of(cls, seconds: GpuSeconds) -> "HoursRange":
        return cls(p50=as_hours(seconds.p50), p90=as_hours(seconds.p90))


class EstimateOut(BaseModel):
    gpu_hours: HoursRange = Field(description="Expected GPU-hours.", examples=[{"p50": "0.0264", "p90": "0.0500"}])
    gpu_seconds: SecondsRange = Field(description="The same in GPU-seconds.", examples=[{"p50": 95, "p90": 180}])
    tokens: int = Field(description="Tokens that training will process, counted exactly.", examples=[12840])
    loss_tokens: int | None = Field(
        description="How many of them are learnt: completions, not prompts; null for pictures.", examples=[9120]
    )
    padding_tokens: int = Field(
        description="Padding that is expected to fill up unpacked batches: computed, and not billed.",
        examples=[0],
    )
    rows: int = Field(description="Usable rows of the data set.", examples=[64])
    steps: int = Field(description="Optimizer steps.", examples=[32])
    vram_gib: float = Field(description="Peak device memory in GiB.", examples=[3.1])
    adapter_parameters: int = Field(description="Parameters that are trained.", examples=[460800])
    base_model: str = Field(description="Base model of the catalogue.", examples=["smollm2-135m-instruct"])
    sku: str = Field(description="Type of device that the estimate is for.", examples=["cpu"])
    fit: FitJudgement = Field(
        description="Whether the job fits into the device's memory: fits, tight, or does_not_fit.", examples=["fits"]
    )
    gradient_checkpointing: bool = Field(description="Whether activations are computed twice.", examples=[False])
    calibration: str = Field(description="Version of the calibration that made the estimate.", examples=["7"])
    calibration_runs: int = Field(
        description="Finished runs that gave the interval its width; 0: published figures only, so a wide one.",
        examples=[30],
    )

    @classmethod
    def of(cls, estimate: JobEstimate) -> "EstimateOut":
        own = {name: getattr(estimate, name) for name in cls.model_fields if hasattr(estimate, name)}
        seconds = estimate.gpu_seconds
        return cls(**{**own, "gpu_seconds": SecondsRange.of(seconds), "gpu_hours": HoursRange.of(seconds)})


class ChargedPricesOut(BaseModel):
    """Whose prices a plan's costs were computed by."""

    gpu_hour_price: str = Field(description="Yuan per GPU-hour.", examples=["5.2"])
    token_price: str = Field(description="Yuan per token.", examples=["0.00009"])
    rate_card_version: str = Field(description="The rate card of these prices.", examples=["2026-01-01"])
    contract_id: str | None = Field(
        description="The contract that charges them; null: what signing today would give.", examples=["con_01k"]
    )

    @staticmethod
    def write(charged: PlanPrices) -> dict[str, str | None]:
        prices = charged.prices
        return {
            "gpu_hour_price": format(prices.per_gpu_hour, "f"),
            "token_price": format(prices.per_token, "f"),
            "rate_card_version": prices.rate_card_version,
            "contract_id": charged.contract_id,
        }


class PlanPriceOut(ChargedPricesOut):
    """What a job costs on one plan, from p50 to p90."""

    plan: PlanName = Field(description="The plan that these prices are of.", examples=["prepaid"])
    gpu_cost: MoneyOut = Field(description="GPU-hours at p50.", examples=[{"amount": "0.14", "currency": "CNY"}])
    gpu_cost_p90: MoneyOut = Field(description="GPU-hours at p90.", examples=[{"amount": "0.26", "currency": "CNY"}])
    token_cost: MoneyOut = Field(description="Tokens.", examples=[{"amount": "1.16", "currency": "CNY"}])
    total: MoneyOut = Field(
        description="Both, with GPU-hours at p50: half of such jobs cost no more.",
        examples=[{"amount": "1.30", "currency": "CNY"}],
    )
    total_p90: MoneyOut = Field(
        description="Both, with GPU-hours at p90: nine of ten cost no more, and this is held.",
        examples=[{"amount": "1.42", "currency": "CNY"}],
    )

    @classmethod
    def of(cls, price: PlanQuote) -> "PlanPriceOut":
        names = ("gpu_cost", "gpu_cost_p90", "token_cost", "total", "total_p90")
        costs = {name: MoneyOut.of(getattr(price, name)) for name in names}
        return cls(plan=price.plan, **costs, **cls.write(price.charged))


class JobPartOut(BaseModel):
    steps: int = Field(description="Whole optimizer steps.", examples=[24])
    epochs: Decimal = Field(description="The same in epochs, rounded down to 2 places.", examples=["1.50"])
    percent: Decimal = Field(description="The same in percent of the job, rounded down.", examples=["75.00"])
    cost: MoneyOut = Field(description="What they cost.", examples=[{"amount": "0.98", "currency": "CNY"}])

    @classmethod
    def of(cls, part: JobPart) -> "JobPartOut":
        return cls(steps=part.steps, epochs=part.epochs, percent=part.percent, cost=MoneyOut.of(part.cost))


class MaxCostBuysOut(BaseModel):
    contract_id: str = Field(description="The contract whose prices these are.", examples=["con_01k"])
    plan: PlanName = Field(description="Its plan.", examples=["prepaid"])
    max_cost: MoneyOut = Field(description="The sum asked for.", examples=[{"amount": "1.00", "currency": "CNY"}])
    p50: JobPartOut = Field(description="What it pays for where GPU-hours are as at p50.", examples=[{"steps": 24}])
    p90: JobPartOut = Field(description="The same at p90: nine of ten jobs get so far.", examples=[{"steps": 22}])

    @classmethod
    def of(cls, buys: MaxCostBuys) -> "MaxCostBuysOut":
        return cls(
            contract_id=buys.contract_id,
            plan=buys.plan,
            max_cost=MoneyOut.of(buys.max_cost),
            p50=JobPartOut.of(buys.p50),
            p90=JobPartOut.of(buys.p90),
        )


class QuotedFindingsOut(BaseModel):
    """What the report on the data set says, all of it on the data set itself."""

    error: int = Field(description="Rows and files that cannot be used.", examples=[1])
    warning: int = Field(description="What will show in the result.", examples=[0])
    hint: int = Field(description="What may be as you mean it.", examples=[0])
    left_out: int = Field(
        description="Rows, or pictures, that the quoted training does not read: those in error, and those with nothing "
        "to learn at this `max_length`, or without a caption.",
        examples=[1],
    )
    first: list[FindingOut] = Field(description="The first 20 findings, errors first.", examples=[[]])

    @classmethod
    def of(cls, findings: QuotedFindings) -> "QuotedFindingsOut":
        first = [FindingOut.model_validate(found) for found in findings.first]
        return cls(**findings.counts, left_out=findings.left_out, first=first)


class QuoteOut(BaseModel):
    id: str = Field(description="Quote id; send it with the job.", examples=["quo_01k"])
    object: Literal["quote"] = Field(default="quote", description="Kind of object.", examples=["quote"])
    customer_id: str = Field(description="Whose quote it is.", examples=["cus_01k"])
    dataset_id: str = Field(description="The data set that was counted.", examples=["dat_01k"])
    dataset_sha256: str = Field(
        description="SHA-256 of its bytes: the quote is good for no other data.", examples=["9f86d081…"]
    )
    config: dict[str, Any] = Field(description="The configuration with its defaults.", examples=[CONFIG_EXAMPLE])
    config_hash: str = Field(
        description="SHA-256 of the configuration: the quote is good for no other.", examples=["60303ae2…"]
    )
    estimate: EstimateOut = Field(description="What the job will need.", examples=[{"tokens": 12840}])
    prices: list[PlanPriceOut] = Field(description="What it will cost on each plan.", examples=[[{"plan": "prepaid"}]])
    max_cost_buys: MaxCostBuysOut | None = Field(
        description="What `max_cost` pays for; null: none was asked for.", examples=[{"plan": "prepaid"}]
    )
    findings: QuotedFindingsOut | None = Field(
        description="What is wrong with the data; null: a quote of before it was told.",
        examples=[{"error": 1, "warning": 0, "hint": 0, "left_out": 1, "first": []}],
    )
    rate_card_version: str = Field(
        description="The rate card in force: what signing today would give.", examples=["2026-01-01"]
    )
    expires_at: datetime = Field(description="Good until then (UTC).", examples=["2026-11-25T08:00:00Z"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Quote) -> "QuoteOut":
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        values = {
            "estimate": EstimateOut.of(row.estimate),
            "prices": [PlanPriceOut.of(price) for price in row.prices],
            "findings": None if row.findings is None else QuotedFindingsOut.of(row.findings),
            "max_cost_buys": None if row.max_cost_buys is None else MaxCostBuysOut.of(row.max_cost_buys),
        }
        return cls(**{**own, **values})


class QuoteBatchIn(RequestBody):
    configs: list[ConfigIn] = Field(
        min_length=1,
        max_length=100,
        description="Configurations to compare, each with the keys of the trainer's YAML file.",
        examples=[[CONFIG_EXAMPLE, {**CONFIG_EXAMPLE, "lora_rank": 16}]],
    )
    dataset_id: str = Field(description="An uploaded data set.", examples=["dat_01k"])
    contract_id: str | None = Field(default=None, description=CONTRACT_WORDS, examples=["con_01k"])


class QuoteAnswerOut(BaseModel):
    """The answer to one configuration: either its quote or its problem."""

    quote: QuoteOut | None = Field(default=None, description="The quote; null: see `problem`.", examples=[None])
    problem: ProblemOut | None = Field(
        default=None,
        description="Why there is no quote, as `POST /v1/quotes` would have answered; null: there is one.",
        examples=[{"type": "/problems/invalid-training-config", "status": 422}],
    )

    @classmethod
    def of(cls, answer: Quote | DomainError) -> "QuoteAnswerOut":
        if isinstance(answer, DomainError):
            return cls(problem=ProblemOut.model_validate(describe_error(answer)))
        return cls(quote=QuoteOut.of(answer))


class QuoteBatchOut(BaseModel):
    data: list[QuoteAnswerOut] = Field(
        description="One answer for each configuration, in their order.", examples=[[{"quote": {"id": "quo_01k"}}]]
    )


class OfferOut(BaseModel):
    """One way to run the quoted job: the same steps on one device of a type."""

    sku: str = Field(description="Type of device.", examples=["rtx-4090"])
    available: bool = Field(description="Whether an open pool has it.", examples=[True])
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        description="Number format of the base model.", examples=["bf16"]
    )
    batch_size: int = Field(description="Rows that go through the model at once.", examples=[4])
    gradient_accumulation: int = Field(description="Batches in one optimizer step.", examples=[1])
    gradient_checkpointing: bool = Field(description="Whether activations are computed twice.", examples=[False])
    fit: FitJudgement = Field(description="fits, or tight: only if lean or lucky.", examples=["fits"])
    vram_gib: float = Field(description="Peak device memory in GiB.", examples=[3.1])
    gpu_seconds: SecondsRange = Field(
        description="GPU-seconds; with one device also the seconds until it has finished, once started.",
        examples=[{"p50": 95, "p90": 180}],
    )
    gpu_hours: HoursRange = Field(description="The same in GPU-hours.", examples=[{"p50": "0.0264", "p90": "0.0500"}])
    calibration_runs: int = Field(description="Finished runs that gave the interval its width.", examples=[30])
    prices: list[PlanPriceOut] = Field(description="What it costs on each plan.", examples=[[{"plan": "prepaid"}]])

    @classmethod
    def of(cls, priced: PricedOffer) -> "OfferOut":
        offer, run = priced.offer, priced.offer.run
        return cls(
            sku=run.sku,
            available=priced.available,
            precision=offer.precision,
            batch_size=offer.config.batch_size,
            gradient_accumulation=offer.config.gradient_accumulation,
            gradient_checkpointing=run.checkpointing,
            fit=run.fit,
            vram_gib=round(run.memory_gib, 2),
            gpu_seconds=SecondsRange.of(run.gpu_seconds),
            gpu_hours=HoursRange.of(run.gpu_seconds),
            calibration_runs=run.calibration_runs,
            prices=[PlanPriceOut.of(price) for price in priced.prices],
        )


class QuoteOffersOut(BaseModel):
    data: list[OfferOut] = Field(
        description="The quoted configuration on every type that it fits on.", examples=[[{"sku": "rtx-4090"}]]
    )
    fastest: OfferOut | None = Field(
        description="The fastest way on a type that a pool has; null: none surely fits.", examples=[{"sku": "rtx-4090"}]
    )
    cheapest: OfferOut | None = Field(
        description="The cheapest way on a type that a pool has; null: none surely fits.",
        examples=[{"sku": "rtx-4090"}],
    )
    frontier: list[OfferOut] = Field(
        description="From the fastest to the cheapest: every way that no other beats in both time and cost.",
        examples=[[{"sku": "rtx-4090"}]],
    )

    @classmethod
    def of(cls, offers: QuoteOffers) -> "QuoteOffersOut":
        frontier = [OfferOut.of(offer) for offer in offers.frontier]
        return cls(
            data=[OfferOut.of(offer) for offer in offers.offers],
            fastest=frontier[0] if frontier else None,
            cheapest=frontier[-1] if frontier else None,
            frontier=frontier,
        )


class PlanComparisonOut(ChargedPricesOut):
    """One plan's price of a month's work, beside on-demand."""

    plan: PlanName = Field(description="The plan.", examples=["long_term"])
    gpu_cost: MoneyOut = Field(description="All GPU-hours.", examples=[{"amount": "2400.00", "currency": "CNY"}])
    token_cost: MoneyOut = Field(description="All tokens.", examples=[{"amount": "60.00", "currency": "CNY"}])
    total: MoneyOut = Field(description="The month.", examples=[{"amount": "2460.00", "currency": "CNY"}])
    saving_percent: Decimal = Field(description="Below on-demand, in percent.", examples=["41.43"])
    yearly_saving: MoneyOut = Field(
        description="Twelve such months below on-demand.", examples=[{"amount": "20880.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, price: PlanPrice, charged: PlanPrices) -> "PlanComparisonOut":
        return cls(
            **cls.write(charged),
            plan=price.plan,
            gpu_cost=MoneyOut.of(price.gpu_cost),
            token_cost=MoneyOut.of(price.token_cost),
            total=MoneyOut.of(price.total),
            saving_percent=price.saving_percent,
            yearly_saving=MoneyOut.of(price.yearly_saving),
        )


class PlanComparisonListOut(BaseModel):
    data: list[PlanComparisonOut] = Field(description="One entry for each plan.", examples=[[{"plan": "long_term"}]])
    rate_card_version: str = Field(
        description="The rate card in force: what signing today would give.", examples=["2026-01-01"]
    )
