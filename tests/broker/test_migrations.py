"""The migrations and the tables agree, and the way up can be gone twice."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from broker.persistence.embedded import EmbeddedServer
from broker.persistence.migrate import alembic_config
from broker.persistence.pool import with_driver
from broker.processes.boot import DatabaseUrls, migrate_database
from tests.broker.rows import list_tables, owner_connection

STRUCTURE = """
    SELECT 'column' AS kind, c.table_name || '.' || c.column_name AS name,
           concat_ws(' ', c.data_type, c.is_nullable, c.column_default) AS text
    FROM information_schema.columns c WHERE c.table_schema = 'public'
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
              WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'policy', tablename || '.' || policyname, concat_ws(' ', cmd, qual, with_check) FROM pg_policies
    UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
              WHERE NOT tgisinternal
    UNION ALL SELECT 'grant', table_name || '.' || privilege_type, grantee FROM information_schema.role_table_grants
              WHERE table_schema = 'public' AND grantee = 'broker_app'
    UNION ALL SELECT 'security', relname, concat_ws(' ', relrowsecurity, relforcerowsecurity) FROM pg_class
              WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    ORDER BY 1, 2, 3
"""


def read_structure(urls: DatabaseUrls) -> list[tuple[object, ...]]:
    with owner_connection(urls) as connection:
        return [tuple(row.values()) for row in connection.execute(STRUCTURE)]


@pytest.fixture
def empty_database(server: EmbeddedServer) -> Iterator[DatabaseUrls]:
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty_one")
    yield DatabaseUrls(server.app_url("empty_one"), server.owner_url("empty_one"))
    with psycopg.connect(server.owner_url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE empty_one WITH (FORCE)")


def test_a_difference_of_tables_and_migrations_would_be_found(urls: DatabaseUrls) -> None:
    """So that `test_model_definitions_match_ddl` (test_migration_checks.py) can fail."""
    with owner_connection(urls) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN name")
    assert urls.owner is not None
    with pytest.raises(Exception, match="name"):
        command.check(alembic_config(urls.owner))


def test_way_down_leaves_nothing_and_the_way_up_is_the_same_again(urls: DatabaseUrls) -> None:
    before = read_structure(urls)
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    command.downgrade(config, "base")
    assert list_tables(urls) == ["alembic_version"]
    with owner_connection(urls) as connection:
        assert connection.execute("SELECT proname FROM pg_proc WHERE proname = 'refuse_change'").fetchall() == []
    command.upgrade(config, "head")
    assert read_structure(urls) == before


@pytest.mark.slow
def test_every_single_step_down_and_up_is_the_same_again(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step in a transaction of its own; the files are read once, not for each of them."""
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    scripts = ScriptDirectory.from_config(config)
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda _config: scripts)
    revisions = [script.revision for script in scripts.walk_revisions()]
    below = {}
    for revision in revisions:
        command.downgrade(config, "-1")
        below[revision] = read_structure(urls)
    for revision in reversed(revisions):
        assert read_structure(urls) == below[revision], f"below revision {revision}"
        command.upgrade(config, "+1")


def test_migrating_an_empty_database_and_doing_it_again_are_the_same(
    empty_database: DatabaseUrls, urls: DatabaseUrls
) -> None:
    migrate_database(empty_database)
    once = read_structure(empty_database)
    migrate_database(empty_database)
    assert read_structure(empty_database) == once == read_structure(urls)


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_database: DatabaseUrls) -> None:
    """A table of that name is in the way of the first migration, near its end."""
    with owner_connection(empty_database) as connection:
        connection.execute("CREATE TABLE usage_events (id text)")
    with pytest.raises(Exception, match="usage_events"):
        migrate_database(empty_database)
    assert list_tables(empty_database) == ["usage_events"]


def test_there_is_one_newest_revision(urls: DatabaseUrls) -> None:
    assert urls.owner is not None
    heads = ScriptDirectory.from_config(alembic_config(urls.owner)).get_heads()
    engine = create_engine(with_driver(urls.owner))
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    engine.dispose()
    assert len(heads) == 1
    assert list(current) == heads


def test_shared_queues_are_there_from_the_start(urls: DatabaseUrls) -> None:
    with owner_connection(urls) as connection:
        rows = connection.execute("SELECT name, priority, state, customer_id FROM queues ORDER BY priority").fetchall()
    assert [tuple(row.values()) for row in rows] == [("standard", 100, "open", None), ("priority", 200, "open", None)]
