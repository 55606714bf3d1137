"""API shapes of data sets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from broker.datasets.room import Room
from broker.datasets.tables import Dataset, TokenCount, Upload
from broker.http.languages import Say
from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field
from pricing.datasets.finding_level import Level
from pricing.datasets.row_counts import RowCounts


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

    @classmethod
    def of(cls, found: Mapping[str, Any], say: Say) -> "FindingOut":
        """Tell a finding as it is kept, in the words of its reader."""
        return cls.model_validate({**found, "message": say(found["message"])})


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

    @classmethod
    def of(cls, count: TokenCount, say: Say) -> "TokenCountOut":
        shown = cls.model_validate(count)
        shown.error = None if count.error is None else say(count.error)
        return shown


class FindingCountsOut(BaseModel):
    error: int = Field(default=0, description="Rows and files that cannot be used.", examples=[1])
    warning: int = Field(default=0, description="What will show in the result.", examples=[0])
    hint: int = Field(default=0, description="What may be as you mean it.", examples=[0])


class RefusedRowsOut(BaseModel):
    reason: str = Field(description="Why rows cannot be used.", examples=["completion is empty"])
    rows: int = Field(description="How many of them.", examples=[150])


class RowCountsOut(BaseModel):
    """Every row of text, or picture, by what became of it: the same line that the trainer writes."""

    read: int = Field(description="Rows, or pictures, in all.", examples=[300])
    used: int = Field(description="Those that are trained on.", examples=[147])
    refused: int = Field(description="Those that cannot be used.", examples=[150])
    refused_because: list[RefusedRowsOut] = Field(
        description="Why, the most rows first.", examples=[[{"reason": "completion is empty", "rows": 150}]]
    )
    set_aside: int = Field(description="Those that say themselves that they are not to be learnt.", examples=[0])
    too_long: int = Field(description="Those whose prompt leaves nothing to learn at `max_length`.", examples=[3])
    cut: int = Field(description="Those of the used that lose their end.", examples=[8])
    line: str = Field(
        description="All of it in one line.",
        examples=["300 rows read: 147 used, 150 refused (150: completion is empty), 0 set aside, 3 too long, 8 cut"],
    )

    @classmethod
    def of(cls, counts: RowCounts, say: Say = str) -> "RowCountsOut":
        return cls(
            read=counts.read,
            used=counts.used,
            refused=counts.refused_rows,
            refused_because=[RefusedRowsOut(reason=say(each.reason), rows=each.rows) for each in counts.refused],
            set_aside=counts.set_aside,
            too_long=counts.too_long,
            cut=counts.cut,
            line=say(counts.describe(say)),
        )


def _count_rows(counts: Any) -> Any:
    return RowCountsOut.of(counts) if isinstance(counts, RowCounts) else counts


class UploadOut(BaseModel):
    """A file that comes piece by piece."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Upload id.", examples=["upl_01k"])
    object: Literal["upload"] = Field(default="upload", description="Kind of object.", examples=["upload"])
    customer_id: str = Field(description="Whose upload it is.", examples=["cus_01k"])
    name: str = Field(description="Name of the file.", examples=["train.jsonl"])
    size_bytes: int = Field(description="Bytes of the whole file.", examples=[1048576])
    received_bytes: int = Field(description="Bytes of it that are there.", examples=[524288])
    expires_at: datetime = Field(
        description="When what has come is deleted, unless more comes.", examples=["2026-12-01T08:00:00Z"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Upload, received_bytes: int) -> "UploadOut":
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"object", "received_bytes"}}
        return cls(received_bytes=received_bytes, **own)


class FromUploadsIn(RequestBody):
    """What a data set is made of: uploads that are whole."""

    upload_ids: list[str] = Field(
        min_length=1, max_length=100, description="The uploads, each an archive or a file.", examples=[["upl_01k"]]
    )
    name: PlainLine | None = Field(
        default=None, max_length=200, description="A name for people; default: the first file's.", examples=["brand"]
    )
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])


class DatasetOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Data set id.", examples=["dat_01k"])
    object: Literal["dataset"] = Field(default="dataset", description="Kind of object.", examples=["dataset"])
    customer_id: str = Field(description="Whose data set it is.", examples=["cus_01k"])
    name: str = Field(description="A name for people.", examples=["brand tone, autumn"])
    origin: Literal["upload", "auto_label", "edit"] = Field(
        default="upload", description="How it came about: sent, labelled by a job, or edited.", examples=["upload"]
    )
    version: int = Field(
        default=1, description="Its place among the versions of the first upload, which is 1.", examples=[1]
    )
    parent_id: str | None = Field(default=None, description="The version that it was made of.", examples=["dat_01k"])
    root_id: str | None = Field(
        default=None, description="The upload that it goes back to; null: it is one itself.", examples=["dat_01k"]
    )
    job_id: str | None = Field(default=None, description="The job that labelled it.", examples=["job_01k"])
    checked_at: datetime | None = Field(
        default=None,
        description="Since when `findings` are those of a job that has opened every picture and read every row (UTC); "
        "null: those of the upload, which reads headers and captions.",
        examples=["2026-11-24T10:05:00Z"],
    )
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
    row_counts: Annotated[RowCountsOut, BeforeValidator(_count_rows)] = Field(
        validation_alias="counted_rows",
        description="What became of every row; lengths are told by a quote, which has a base model and `max_length`.",
        examples=[{"read": 65, "used": 64, "refused": 1}],
    )
    token_counts: list[TokenCountOut] = Field(
        default_factory=list,
        description="How far its tokens are counted, which a quote waits for; small data is counted when first quoted.",
        examples=[[{"base_model": "llama-2-7b", "status": "counting", "rows": 262144, "counted_rows": 131072}]],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Dataset, counts: Sequence[TokenCount] = (), *, say: Say) -> "DatasetOut":
        shown = cls.model_validate(row)
        shown.findings = [FindingOut.of(found, say) for found in row.findings]
        shown.row_counts = RowCountsOut.of(row.counted_rows, say)
        shown.token_counts = [TokenCountOut.of(count, say) for count in counts]
        return shown


class StorageOut(BaseModel):
    object: Literal["storage"] = Field(default="storage", description="Kind of object.", examples=["storage"])
    customer_id: str = Field(description="Whose.", examples=["cus_01k"])
    limit_bytes: int | None = Field(description="Most bytes that may be used; null: any.", examples=[214748364800])
    used_bytes: int = Field(description="Bytes that are used; above the limit nothing is added.", examples=[1073741824])
    dataset_bytes: int = Field(
        description="Of them, those of data sets; pictures that versions share count once.", examples=[1048576]
    )
    upload_bytes: int = Field(description="Of them, those that open uploads have or will have.", examples=[1072693248])

    @classmethod
    def of(cls, customer_id: str, room: Room) -> "StorageOut":
        return cls(
            customer_id=customer_id,
            limit_bytes=room.limit_bytes,
            used_bytes=room.used_bytes,
            dataset_bytes=room.dataset_bytes,
            upload_bytes=room.upload_bytes,
        )
