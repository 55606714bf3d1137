"""API shapes of data sets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.datasets.tables import Dataset, TokenCount
from broker.http.shapes import created_at_field
from pricing.datasets.finding_level import Level


class FileOut(BaseModel):
    name: str = Field(description="Path inside the data set.", examples=["train.jsonl"])
    size_bytes: int = Field(description="Size in bytes.", examples=[18342])


class FindingOut(BaseModel):
    file: str = Field(description="File of the data set; empty: the data set as a whole.", examples=["train.jsonl"])
    line: int | None = Field(default=None, description="Line in the file, from 1; null: the whole file.", examples=[12])
    level: Level = Field(
        default=Level.ERROR,
        description="error: left out, or with pictures refused; warning: will show in the result; hint: may be meant.",
        examples=["error"],
    )
    message: str = Field(description="What is wrong, and the cure.", examples=["completion is empty"])


class TokenCountOut(BaseModel):
    """How far the tokens of a data set are counted by the tokenizer of one base model."""

    model_config = ConfigDict(from_attributes=True)

    base_model: str = Field(description="A base model with this tokenizer.", examples=["smollm2-135m-instruct"])
    status: Literal["counting", "counted", "failed"] = Field(
        description="A quote needs it counted; failed: it cannot be.", examples=["counting"]
    )
    rows: int = Field(description="Rows, or pictures, to count.", examples=[262144])
    counted_rows: int = Field(validation_alias="counted", description="Those counted so far.", examples=[131072])
    error: str | None = Field(default=None, description="Why it cannot be counted.", examples=[None])


class FindingCountsOut(BaseModel):
    error: int = Field(default=0, description="Rows and files that cannot be used.", examples=[1])
    warning: int = Field(default=0, description="What will show in the result.", examples=[0])
    hint: int = Field(default=0, description="What may be as you mean it.", examples=[0])


class DatasetOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Data set id.", examples=["dat_01k"])
    object: Literal["dataset"] = Field(default="dataset", description="Kind of object.", examples=["dataset"])
    customer_id: str = Field(description="Whose data set it is.", examples=["cus_01k"])
    name: str = Field(description="A name for people.", examples=["brand tone, autumn"])
    sha256: str = Field(description="SHA-256 of the packed data set, hex.", examples=["9f86d081…"])
    size_bytes: int = Field(description="Size of the packed data set in bytes.", examples=[20480])
    files: list[FileOut] = Field(
        description="What it consists of.", examples=[[{"name": "train.jsonl", "size_bytes": 18342}]]
    )
    kind: Literal["text", "images"] = Field(
        description="images where there is a picture among the files, else text.", examples=["text"]
    )
    usable_rows: int = Field(description="Rows of text, or pictures, that training reads.", examples=[64])
    findings: list[FindingOut] = Field(
        description="What cannot be used, and what will show in the result (the first 200).",
        examples=[[{"file": "train.jsonl", "line": 12, "level": "error", "message": "completion is empty"}]],
    )
    finding_counts: FindingCountsOut = Field(
        description="How many findings there are, by level.", examples=[{"error": 1, "warning": 0, "hint": 0}]
    )
    token_counts: list[TokenCountOut] = Field(
        default_factory=list,
        description="How far its tokens are counted, which a quote waits for; small data is counted when first quoted.",
        examples=[[{"base_model": "llama-2-7b", "status": "counting", "rows": 262144, "counted_rows": 131072}]],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Dataset, counts: Sequence[TokenCount] = ()) -> "DatasetOut":
        shown = cls.model_validate(row)
        shown.token_counts = [TokenCountOut.model_validate(count) for count in counts]
        return shown
