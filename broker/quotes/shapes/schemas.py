"""API shapes of quotes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.datasets.schemas import FindingOut, RowCountsOut
from broker.errors import DomainError
from broker.http.languages import Say
from broker.http.problems import describe_error
from broker.http.shapes import MoneyOut, ProblemOut, RequestBody, created_at_field, read_fields
from broker.quotes.checking.findings import QuotedFindings
from broker.quotes.costing.budget import MaxCostBuys
from broker.quotes.service import QuoteTerms
from broker.quotes.shapes.config_schemas import CONFIG_EXAMPLE, ConfigIn
from broker.quotes.shapes.estimate_schemas import EstimateOut
from broker.quotes.shapes.price_schemas import PlanPriceOut
from broker.quotes.shapes.type_schemas import GpuTypeOut
from broker.quotes.tables import Quote
from broker.templates.schemas import TemplateName
from pricing.budget import JobPart
from pricing.money import Money
from pricing.plans import PlanName

MOST_GPUS = 64
PROJECT = Field(
    default=None,
    description="The project that the job will be in; needed where grants of its own pay for it.",
    examples=["prj_01k"],
)
Gpus = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_GPUS,
        description="So many GPUs of one machine share the job's steps, all of them or none. GPU-seconds count each.",
        examples=[1],
    ),
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
    project_id: str | None = PROJECT
    template: TemplateName | None = Field(
        default=None,
        description="A template to fill the configuration in from, as a job names it; `config` has what is changed of "
        "it, or is empty.",
        examples=["template_sd_v15@3"],
    )
    gpus: Gpus = 1

    def read_terms(self) -> QuoteTerms:
        max_cost = None if self.max_cost is None else Money.from_decimal(self.max_cost)
        return QuoteTerms(self.contract_id, max_cost, self.project_id, self.gpus)


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
    rows: RowCountsOut | None = Field(
        default=None,
        description="What becomes of every row; null: a quote of before it was told.",
        examples=[{"read": 65, "used": 64, "refused": 1}],
    )
    first: list[FindingOut] = Field(description="The first 20 findings, errors first.", examples=[[]])

    @classmethod
    def of(cls, findings: QuotedFindings, say: Say) -> "QuotedFindingsOut":
        first = [FindingOut.of(found, say) for found in findings.first]
        rows = None if findings.rows is None else RowCountsOut.of(findings.rows, say)
        return cls(**findings.counts, left_out=findings.left_out, rows=rows, first=first)


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
    gpu_types: list[GpuTypeOut] = Field(
        description="The types that pools have: first the one that `estimate` and `prices` are of, then the others. A "
        "job may accept some of those that it fits on.",
        examples=[[{"sku": "rtx-4090", "fit": "fits"}]],
    )
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
    def of(cls, row: Quote, say: Say = str) -> "QuoteOut":
        own = read_fields(cls, row)
        types = [GpuTypeOut.of(each, row.expected_starts, say) for each in row.gpu_types]
        values = {
            "estimate": EstimateOut.of(row.estimate, say),
            "prices": types[0].prices,
            "gpu_types": types,
            "findings": None if row.findings is None else QuotedFindingsOut.of(row.findings, say),
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
    project_id: str | None = PROJECT
    gpus: Gpus = 1

    def read_terms(self) -> QuoteTerms:
        return QuoteTerms(self.contract_id, project_id=self.project_id, gpus=self.gpus)


class QuoteAnswerOut(BaseModel):
    """The answer to one configuration: either its quote or its problem."""

    quote: QuoteOut | None = Field(default=None, description="The quote; null: see `problem`.", examples=[None])
    problem: ProblemOut | None = Field(
        default=None,
        description="Why there is no quote, as `POST /v1/quotes` would have answered; null: there is one.",
        examples=[{"type": "/problems/invalid-training-config", "status": 422}],
    )

    @classmethod
    def of(cls, answer: Quote | DomainError, say: Say) -> "QuoteAnswerOut":
        if isinstance(answer, DomainError):
            return cls(problem=ProblemOut.model_validate(describe_error(answer)))
        return cls(quote=QuoteOut.of(answer, say))


class QuoteBatchOut(BaseModel):
    data: list[QuoteAnswerOut] = Field(
        description="One answer for each configuration, in their order.", examples=[[{"quote": {"id": "quo_01k"}}]]
    )
