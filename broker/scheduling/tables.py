"""What cycles were planned from, record by record."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class RecordedCycle(Base):
    """What changed until a cycle, and whom it started (`CycleRecord`, as JSON). It is appended to, and swept by age.

    `size_bytes` is the length of the JSON; in the table it is compressed.
    """

    __tablename__ = "recorded_cycles"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    is_baseline: Mapped[bool]
    size_bytes: Mapped[int]
    record: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = moment_column(index=True)
