"""API shapes of who pays for a job's usage: what is charged, what is borne, and what was lost by our doing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from broker.capacity.notice_schemas import NoticeOut
from broker.http.shapes import MoneyOut
from broker.jobs.eviction_schemas import EvictionOut
from broker.jobs.rules.lost_work_words import explain_lost_work
from broker.jobs.rules.sooner import SoonerStart
from broker.jobs.running.lost_work import LostOfRun, WhoPays
from broker.jobs.schemas import JobOut
from broker.jobs.sooner_schemas import SoonerStartOut
from broker.jobs.tables import JobNote
from broker.ledger.books.causes import Cause
from broker.ledger.service import BorneUsage


class BorneOut(BaseModel):
    """What the house bears of a job for one cause."""

    gpu_seconds: int = Field(description="GPU-seconds.", examples=[12])
    tokens: int = Field(description="Tokens.", examples=[1042])
    amount: MoneyOut = Field(
        description="Their price under the contract.", examples=[{"amount": "0.110447", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, borne: BorneUsage) -> Self:
        return cls(gpu_seconds=borne.usage.gpu_seconds, tokens=borne.usage.tokens, amount=MoneyOut.of(borne.price))


class LostWorkOut(BaseModel):
    """What one run lost: used after its last durable checkpoint, and not charged."""

    run_id: str = Field(description="The run.", examples=["run_01k"])
    cause: Cause = Field(description="Why it is borne.", examples=["machine_lost"])
    after_step: int | None = Field(description="Step of its last checkpoint; null: it had none.", examples=[5])
    gpu_seconds: int = Field(description="GPU-seconds.", examples=[12])
    tokens: int = Field(description="Tokens.", examples=[1042])
    explanation: str = Field(
        description="The same as a sentence.",
        examples=["12 GPU-seconds and 1,042 tokens after step 5 are on us: the machine was lost"],
    )

    @classmethod
    def of(cls, lost: LostOfRun) -> Self:
        return cls(
            run_id=lost.run_id,
            cause=lost.cause,
            after_step=lost.after_step,
            gpu_seconds=lost.usage.gpu_seconds,
            tokens=lost.usage.tokens,
            explanation=explain_lost_work(lost.usage, lost.cause, lost.after_step),
        )


class JobDetailOut(JobOut):
    """A job with who pays for its usage, and for whom it made room."""

    borne_by_cause: dict[Cause, BorneOut] = Field(
        description="What the house bears, by why it does; over_promise: beyond what the customer was promised.",
        examples=[{"machine_lost": {"gpu_seconds": 12, "tokens": 1042}}],
    )
    lost_work: list[LostWorkOut] = Field(
        description="What its runs lost by our doing, run by run.", examples=[[{"run_id": "run_01k"}]]
    )
    evictions: list[EvictionOut] = Field(
        description="For whom its runs made room, the earliest first; at most the last hundred.", examples=[[]]
    )
    sooner: list[SoonerStartOut] = Field(
        description="On which quoted GPU types that it does not accept a waiting job would start sooner, and what more "
        "that costs; the soonest first.",
        examples=[[{"sku": "rtx-4090", "message": "on rtx-4090 now: +12.40 CNY"}]],
    )
    notes: str | None = Field(description="What its customer noted of it.", examples=["rank 16 is enough"])
    pinned_at: datetime | None = Field(
        description="Since when its customer has it pinned (UTC); null: it is not.", examples=["2026-11-24T10:05:00Z"]
    )
    made_dataset_id: str | None = Field(
        description="The data set that a labelling has made: the pictures with their new captions.",
        examples=["dat_01k"],
    )
    pinned_steps: list[int] = Field(description="Of which steps its samples are pinned.", examples=[[120, 480]])
    notices: list[NoticeOut] = Field(
        description="What is announced and concerns it: to all, and, while it runs, of its pool.", examples=[[]]
    )

    @classmethod
    def of_job(
        cls,
        out: JobOut,
        who: WhoPays,
        evictions: Sequence[EvictionOut],
        notices: Sequence[NoticeOut] = (),
        sooner: Sequence[SoonerStart] = (),
        note: JobNote | None = None,
        made_dataset_id: str | None = None,
    ) -> Self:
        told = {
            "borne_by_cause": {cause: BorneOut.of(each) for cause, each in who.borne.items()},
            "lost_work": [LostWorkOut.of(each) for each in who.lost],
            "evictions": list(evictions),
            "notices": list(notices),
            "notes": None if note is None else note.notes,
            "pinned_at": None if note is None else note.pinned_at,
            "made_dataset_id": made_dataset_id,
            "pinned_steps": [] if note is None else note.pinned_steps,
            "sooner": [SoonerStartOut.of(each) for each in sooner],
        }
        return cls(**out.model_dump(), **told)
