"""Alembic's environment: runs under `broker migrate`, which hands in the owner's URL."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from broker.all_tables import METADATA
from broker.persistence.pool import with_driver

MIGRATION_LOCK = 7_203_114


def run_migrations() -> None:
    engine = create_engine(with_driver(context.config.attributes["owner_url"]), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        connection.execute(text("SELECT set_config('broker.scope', 'all', true)"))
        partitions = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition")))
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            compare_type=True,
            include_name=lambda name, kind, _parents: kind != "table" or name not in partitions,
        )
        with context.begin_transaction():
            context.run_migrations()


run_migrations()
