"""API shapes of the ways to run a quoted job."""

from typing import Literal

from pydantic import BaseModel, Field

from broker.quotes.offers import PricedOffer, QuoteOffers
from broker.quotes.shapes.estimate_schemas import HoursRange, SecondsRange
from broker.quotes.shapes.price_schemas import PlanPriceOut
from pricing.resources.memory import FitJudgement


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
