"""Nothing in a JSON column is null, as in every other column: JSON's own null is in no row, old ones included."""

from alembic import command
from sqlalchemy import JSON, TypeDecorator

from broker.all_tables import Base
from broker.persistence.migrate import alembic_config
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.factories import Api, make_ready_customer
from tests.broker.rows import owner_connection
from tests.broker.running_jobs import start_job

BEFORE = "0102"


def test_no_json_column_that_may_be_null_takes_a_null_of_json() -> None:
    columns = [column for table in Base.metadata.tables.values() for column in table.columns if column.nullable]
    types = {
        str(column): column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
        for column in columns
    }
    of_json = {name: kind for name, kind in types.items() if isinstance(kind, JSON)}
    assert len(of_json) > 10
    assert [name for name, kind in of_json.items() if not kind.none_as_null] == []


async def test_rows_with_a_null_of_json_are_put_right(api: Api, system: System, urls: DatabaseUrls) -> None:
    await start_job(system, await make_ready_customer(api), gpu_seconds=60, tokens=0)
    await system.database.close()
    assert urls.owner is not None
    command.downgrade(alembic_config(urls.owner), BEFORE)
    with owner_connection(urls) as connection:
        connection.execute("UPDATE jobs SET error = 'null'::jsonb, pending_reason = 'null'::jsonb")
    command.upgrade(alembic_config(urls.owner), "head")
    with owner_connection(urls) as connection:
        found = connection.execute("SELECT error IS NULL AND pending_reason IS NULL AS is_null FROM jobs").fetchall()
    assert found == [{"is_null": True}]
