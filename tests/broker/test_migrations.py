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

# From the catalogue itself, which tells a type as it was declared, with its length and of what an array is.
STRUCTURE = """
    WITH relations AS (
        SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'f')
    )
    SELECT 'column' AS kind, c.relname || '.' || a.attname AS name,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                     pg_get_expr(d.adbin, d.adrelid)) AS text
    FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
              FROM relations c JOIN pg_index ON indrelid = c.oid
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
              WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'policy', c.relname || '.' || polname,
                     concat_ws(' ', polcmd, pg_get_expr(polqual, c.oid), pg_get_expr(polwithcheck, c.oid))
              FROM relations c JOIN pg_policy ON polrelid = c.oid
    UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
              WHERE NOT tgisinternal
    UNION ALL SELECT 'grant', c.relname || '.' || privilege_type, grantee::regrole::text
              FROM relations c, aclexplode(c.relacl) WHERE grantee = 'broker_app'::regrole
    UNION ALL SELECT 'security', relname, concat_ws(' ', relrowsecurity, relforcerowsecurity) FROM relations
    ORDER BY 1, 2, 3
"""


CHANGES = {
    "column": "ALTER TABLE jobs ALTER COLUMN name SET DEFAULT 'odd'",
    "index": "CREATE INDEX odd ON jobs (name)",
    "constraint": "ALTER TABLE jobs ADD CONSTRAINT odd CHECK (name <> 'odd')",
    "policy": "ALTER POLICY own_rows ON jobs USING (true)",
    "trigger": "CREATE TRIGGER odd BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "grant": "REVOKE SELECT ON jobs FROM broker_app",
    "security": "ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY",
}


def read_structure(urls: DatabaseUrls) -> list[tuple[object, ...]]:
    with owner_connection(urls) as connection:
        return list_structure(connection)


def list_structure(connection: psycopg.Connection[dict[str, object]]) -> list[tuple[object, ...]]:
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


def test_a_difference_of_each_kind_would_be_found(urls: DatabaseUrls) -> None:
    seen = read_structure(urls)
    for kind, change in CHANGES.items():
        with owner_connection(urls) as connection:
            connection.execute(change.encode())
        before, seen = seen, read_structure(urls)
        assert {row[0] for row in set(before) ^ set(seen)} == {kind}


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
    """Each step in a transaction of its own. The files are read once, and the structure by one connection."""
    assert urls.owner is not None
    config = alembic_config(urls.owner)
    scripts = ScriptDirectory.from_config(config)
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda _config: scripts)
    revisions = [script.revision for script in scripts.walk_revisions()]
    below = {}
    with owner_connection(urls) as connection:
        for revision in revisions:
            command.downgrade(config, "-1")
            below[revision] = list_structure(connection)
        for revision in reversed(revisions):
            assert list_structure(connection) == below[revision], f"below revision {revision}"
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
