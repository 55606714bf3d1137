"""Base models that an operator added, with the tokenizer that their quotes are counted by."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column
from broker.persistence.documents import Document
from pricing.catalog.profile import BaseModelProfile


def _write_profile(profile: BaseModelProfile) -> object:
    return profile.model_dump(mode="json", exclude_defaults=True)


class AddedModel(Base):
    """A model under a name; `spelling` is what all spellings of that name fold to. `tokenizer` is gzipped JSON."""

    __tablename__ = "base_models"
    __table_args__ = (
        Index("uq_base_models_offered", "spelling", unique=True, postgresql_where=text("removed_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    spelling: Mapped[str]
    family: Mapped[str]
    profile: Mapped[BaseModelProfile] = mapped_column(Document(_write_profile, BaseModelProfile.model_validate))
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    tokenizer: Mapped[bytes | None] = mapped_column(deferred=True)
    created_at: Mapped[datetime] = moment_column()
    removed_at: Mapped[datetime | None] = moment_column(nullable=True)
