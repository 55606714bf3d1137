"""What two tools say of the migrations: `squawk` of the SQL of new ones, `pytest-alembic` of all as a chain.

`squawk` looks for what would lock a large table for long, or break a process of the release before, which goes on while
an upgrade rolls. What was written before it was asked is as it is: no released database goes back through it.
"""

import json
import re
import subprocess
import sysconfig
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pytest_alembic import MigrationContext, runner
from pytest_alembic.config import Config as RawConfig
from pytest_alembic.tests import test_model_definitions_match_ddl, test_single_head_revision, test_upgrade
from sqlalchemy import Engine, create_engine, event

from broker.persistence.migrate import alembic_config as make_alembic_config
from broker.persistence.pool import with_driver
from broker.processes.boot import DatabaseUrls

__all__ = ["test_model_definitions_match_ddl", "test_single_head_revision", "test_upgrade"]

ROOT = Path(__file__).parents[2]
SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"
LAST_UNCHECKED = "0125"
NEXT_REVISION = re.compile(r"(?:UPDATE|INSERT INTO) alembic_version\b.*?'(?P<revision>\w+)'", re.DOTALL)
PARAMETER = re.compile(r"%\(\w+\)s(?:::\w+)?")
READS = ("SELECT", "SHOW", "SET ", "DELETE FROM ALEMBIC_VERSION")


@pytest.fixture
def alembic_config(urls: DatabaseUrls) -> Config:
    assert urls.owner is not None
    return make_alembic_config(urls.owner)


@pytest.fixture
def alembic_engine(urls: DatabaseUrls) -> Iterator[Engine]:
    engine = create_engine(with_driver(urls.owner or ""))
    yield engine
    engine.dispose()


@pytest.fixture
def alembic_runner(alembic_config: Config, alembic_engine: Engine) -> Iterator[MigrationContext]:
    """Make what the plugin's tests ask for: the plugin itself is not loaded (pyproject.toml says why)."""
    with runner(config=RawConfig.from_raw_config(alembic_config), engine=alembic_engine) as context:
        yield context


@contextmanager
def capture_sql() -> Iterator[Mapping[str, list[str]]]:
    """Capture the SQL of the migrations that are applied meanwhile, by revision; parameters are NULL in it."""
    by_revision: dict[str, list[str]] = defaultdict(list)
    of_this: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        applied = NEXT_REVISION.match(statement)
        if applied is not None:
            by_revision[applied["revision"]] += of_this
            of_this.clear()
        elif not statement.lstrip().upper().startswith(READS):
            of_this.append(PARAMETER.sub("NULL", statement).replace("%%", "%").strip().rstrip(";") + ";")

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield by_revision
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def ask_squawk(folder: Path, sql: Mapping[str, Sequence[str]]) -> list[str]:
    """Ask what is wrong with the SQL of migrations; one line for each finding."""
    for revision, statements in sql.items():
        (folder / f"{revision}.sql").write_text("\n".join(statements) + "\n", encoding="utf-8")
    files = [f"{revision}.sql" for revision in sorted(sql)]
    told = [SQUAWK, "--config", ROOT / ".squawk.toml", "--reporter", "json", *files]
    asked = subprocess.run(told, cwd=folder, capture_output=True, text=True, check=False)
    assert asked.returncode in {0, 1}, asked.stderr
    found = json.loads(asked.stdout or "[]")
    return [f"{each['file']}: {each['rule_name']}: {each['message']} {each.get('help') or ''}" for each in found]


def find_reasons(script: Any) -> Mapping[str, str]:
    """Find which rules a migration breaks on purpose, and why, as it says itself."""
    return getattr(script.module, "squawk_ignores", {})


def test_new_migrations_lock_no_table_for_long_and_break_no_process_of_before(
    alembic_config: Config, tmp_path: Path
) -> None:
    scripts = ScriptDirectory.from_config(alembic_config)
    command.downgrade(alembic_config, LAST_UNCHECKED)
    with capture_sql() as sql:
        command.upgrade(alembic_config, "head")
    *new, _last_unchecked = scripts.walk_revisions(LAST_UNCHECKED, "head")
    meant = {script.revision: find_reasons(script) for script in new}
    assert set(sql) == set(meant)
    found = ask_squawk(tmp_path, sql) if sql else []
    unmeant = [line for line in found if line.split(": ")[1] not in meant[line.partition(".sql")[0]]]
    assert unmeant == [], "mend it, or say why in the migration: squawk_ignores = {'rule': 'reason'}"


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE jobs ADD COLUMN kind text NOT NULL;", "adding-required-field"),
        ("ALTER TABLE jobs RENAME COLUMN name TO title;", "renaming-column"),
        ("ALTER TABLE jobs ALTER COLUMN attempts TYPE text;", "changing-column-type"),
        ("ALTER TABLE jobs ADD CONSTRAINT c CHECK (attempts > 0);", "constraint-missing-not-valid"),
        ("ALTER TABLE jobs DROP COLUMN name;", "ban-drop-column"),
        ("ALTER TABLE jobs ADD COLUMN kind text DEFAULT 'x';", None),
        ("CREATE INDEX ix ON jobs (kind);", None),
    ],
    ids=["required", "renamed", "retyped", "unchecked", "dropped", "default", "index"],
)
def test_what_would_hold_up_an_upgrade_is_found(tmp_path: Path, statement: str, rule: str | None) -> None:
    found = ask_squawk(tmp_path, {"0999": [statement]})
    assert [line.split(": ")[1] for line in found] == ([] if rule is None else [rule])
