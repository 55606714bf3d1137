"""Calibrations: what was learnt from finished jobs, each version kept for the quotes that name it."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class LearntCalibration(Base):
    """One version. `finished_jobs` is how many jobs had finished when it was learnt."""

    __tablename__ = "calibrations"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    finished_jobs: Mapped[int]
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = moment_column()
