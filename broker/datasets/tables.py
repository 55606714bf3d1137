"""Uploaded data sets and their quality reports."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from broker.datasets.pictures import holds_pictures
from broker.persistence.database import Base, moment_column


class Dataset(Base):
    """One upload, kept as one tar of its files. `findings` is its report: what cannot be used, and what will show."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customers.id"), index=True)
    name: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    storage_key: Mapped[str]
    files: Mapped[list[Any]]
    usable_rows: Mapped[int]
    findings: Mapped[list[Any]]
    created_at: Mapped[datetime] = moment_column()

    @property
    def kind(self) -> str:
        return "images" if holds_pictures(file["name"] for file in self.files) else "text"
