"""What was swept so far, by kind, and the rules that ops has set."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class RetentionRule(Base):
    """A rule that ops has set, by the name of the setting that it goes before; units are the setting's."""

    __tablename__ = "retention_rules"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = moment_column()


class Swept(Base):
    """All that was removed of one kind: how many, and their bytes, since the broker was set up."""

    __tablename__ = "swept"

    kind: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    size_bytes: Mapped[int]
    last_at: Mapped[datetime] = moment_column()
