"""Charts of accounts: each version maps the accounts of money to codes and names; a record."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from broker.persistence.database import Base, moment_column


class ChartOfAccounts(Base):
    """A version of the map, as finance has told it whole."""

    __tablename__ = "charts_of_accounts"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    accounts: Mapped[list[Any]]
    author: Mapped[str]
    created_at: Mapped[datetime] = moment_column()
