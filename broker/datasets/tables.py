"""Uploaded data sets, their quality reports, and the tokens of their rows as each tokenizer counts them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.datasets.pictures import holds_pictures
from broker.datasets.stored_tar import StoredTar
from broker.persistence.database import Base, moment_column
from pricing.datasets.row_counts import RowCounts


class Dataset(Base):
    """One upload, kept as one tar of its files; `tar` says where. `findings` is its report: what cannot be used, and
    what will show; the first of them, where `finding_counts` counts all, by level. `row_counts` counts every row by
    what became of it. The row of a deleted one stays, for jobs that name it.

    `origin`: uploaded, or made of `parent_id` by an edit or by a job's run; `version` counts among all that go back to
    the upload `root_id`, which itself has none and is the first. `checked_at`: since when its report is that of a
    job's run, which has opened every picture and read every row.

    `storage_key` names its own object: the tar itself, or, with a `base_key`, what it has not from there
    (`stored_tar.py`), in `own_bytes` with the hash `own_sha256`.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        Index("uq_datasets_version", "root_id", "version", unique=True, postgresql_where=text("root_id IS NOT NULL")),
        Index("uq_datasets_job", "job_id", unique=True, postgresql_where=text("job_id IS NOT NULL")),
        Index("ix_datasets_content", "customer_id", "sha256", postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    storage_key: Mapped[str]
    base_key: Mapped[str | None]
    own_bytes: Mapped[int | None]
    own_sha256: Mapped[str | None]
    files: Mapped[list[Any]]
    usable_rows: Mapped[int]
    findings: Mapped[list[Any]]
    finding_counts: Mapped[dict[str, Any]]
    row_counts: Mapped[dict[str, Any]]
    origin: Mapped[str] = mapped_column(default="upload", server_default=text("'upload'"))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    root_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"))
    job_id: Mapped[str | None]
    run_id: Mapped[str | None]
    checked_at: Mapped[datetime | None] = moment_column(nullable=True)
    checked_job_id: Mapped[str | None] = mapped_column(index=True)
    checked_run_id: Mapped[str | None]
    created_at: Mapped[datetime] = moment_column()
    deleted_at: Mapped[datetime | None] = moment_column(nullable=True)

    @property
    def tar(self) -> StoredTar:
        """Tell where its tar lies."""
        return StoredTar(self.storage_key, self.size_bytes, self.base_key)

    @property
    def counted_rows(self) -> RowCounts:
        """Count the rows, or pictures, by what became of them; a `usable` one may be too long for a base model."""
        return RowCounts.from_json(self.row_counts, unit="rows" if self.kind == "text" else "pictures")

    @property
    def kind(self) -> str:
        return "images" if holds_pictures(file["name"] for file in self.files) else "text"


class Upload(Base):
    """A file that comes piece by piece, until a data set is made of it or it expires (`uploads.py`).

    `size_bytes` is what it will have; how much is there, the storage tells. `metadata_header` is what the client said
    of it, as it came. Whoever writes a piece holds the claim, as long as bytes come.
    """

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    size_bytes: Mapped[int]
    metadata_header: Mapped[str]
    storage_key: Mapped[str]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
    expires_at: Mapped[datetime] = moment_column(index=True)


class TokenCount(Base):
    """How far the rows of one data set are counted by one tokenizer; `base_model` names a model that it belongs to.

    Units: `rows` in all, `counted` of them, in `parts`. `asked_at`: since when a quote has waited for it. Whoever
    counts holds the claim; `turn_at` is when it was last counted, so that customers take turns. `failures` are turns
    without progress; `error` says why it was given up.
    """

    __tablename__ = "token_counts"
    __table_args__ = (
        Index("ix_token_counts_open", "customer_id", postgresql_where=text("counted_at IS NULL AND error IS NULL")),
    )

    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    tokenizer: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    base_model: Mapped[str]
    rows: Mapped[int]
    counted: Mapped[int]
    parts: Mapped[int]
    failures: Mapped[int]
    error: Mapped[str | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None] = moment_column(nullable=True)
    turn_at: Mapped[datetime | None] = moment_column(nullable=True)
    asked_at: Mapped[datetime | None] = moment_column(nullable=True)
    created_at: Mapped[datetime] = moment_column()
    counted_at: Mapped[datetime | None] = moment_column(nullable=True)

    @property
    def status(self) -> str:
        if self.counted_at is not None:
            return "counted"
        return "failed" if self.error is not None else "counting"


class TokenCountPart(Base):
    """The counts of some rows that follow one another: kept as they come, so that a crash loses one part at most."""

    __tablename__ = "token_count_parts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["dataset_id", "tokenizer"],
            ["token_counts.dataset_id", "token_counts.tokenizer"],
            name="fk_token_count_parts_token_counts",
            ondelete="CASCADE",
        ),
    )

    dataset_id: Mapped[str] = mapped_column(primary_key=True)
    tokenizer: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"))
    content: Mapped[bytes]
