"""API shapes of data sets."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.datasets.tables import Dataset
from broker.schemas import created_at_field


class FileOut(BaseModel):
    name: str = Field(description="Path inside the data set.", examples=["train.jsonl"])
    size_bytes: int = Field(description="Size in bytes.", examples=[18342])


class FindingOut(BaseModel):
    file: str = Field(description="File of the data set.", examples=["train.jsonl"])
    line: int = Field(description="Line in the file, from 1.", examples=[12])
    message: str = Field(description="Why the row is left out.", examples=["completion is empty"])


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
    usable_rows: int = Field(description="Rows that training reads.", examples=[64])
    findings: list[FindingOut] = Field(
        description="Rows that are left out, and why (the first 200).",
        examples=[[{"file": "train.jsonl", "line": 12, "message": "completion is empty"}]],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Dataset) -> "DatasetOut":
        return cls.model_validate(row)
