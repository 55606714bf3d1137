"""Applying the Alembic migrations, as the owner of the tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(owner_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["owner_url"] = owner_url
    return config


def migrate(owner_url: str) -> None:
    """Bring the database to the newest revision; each migration is one transaction, and two processes take turns."""
    command.upgrade(alembic_config(owner_url), "head")
