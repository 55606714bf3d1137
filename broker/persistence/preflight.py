"""Looking at a database before anything is done to it: every refusal is one line with its cure, and changes nothing.

No password is ever in a message: of a URL only user, host and database are named.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from broker.errors import OperatorError
from broker.persistence.database import APP_ROLE
from broker.persistence.faults import find_fault
from broker.persistence.migrate import alembic_config
from broker.persistence.pool import without_driver

APP_SETTING, OWNER_SETTING = "BROKER_DATABASE_URL", "BROKER_MIGRATION_DATABASE_URL"
SHAPE = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
EXTENSION = "btree_gist"
OLDEST_SERVER = 140_000
CONNECT_SECONDS = 5
RETRY_SECONDS = 1.0
ROLE = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = %s"
# What a server says that is there in a moment: it starts up, ends, recovers from a crash, or has no connection left.
# It comes without a code while a connection is made. Source: PostgreSQL's `backend_startup.c` and `proc.c`.
NOT_THERE_YET = (
    *("starting up", "shutting down", "recovery mode", "not yet accepting connections"),
    *("too many clients", "too many connections", "connection slots are reserved"),
)
# What the server's words mean, which comes without a code while a connection is made.
CURES = (
    ("password authentication failed", "check the password in it, and that the role may log in"),
    ("no pg_hba.conf entry", "allow this machine in the server's pg_hba.conf"),
    ("no password supplied", "put the role's password into it"),
)


class DatabaseUnusable(OperatorError):
    """The database cannot be used as it is, or as it is named."""


class DatabaseNotReached(DatabaseUnusable):
    """No server answered: it may not be there yet."""


@dataclass(frozen=True)
class Place:
    """A database as a setting names it. `setting` is empty where the embedded server gave the URL itself."""

    url: str
    setting: str = ""

    def parse(self) -> URL:
        """Parse the URL. Raises: DatabaseUnusable."""
        try:
            parsed = make_url(self.url)
            conninfo_to_dict(without_driver(self.url))
        except (ArgumentError, ValueError, psycopg.ProgrammingError) as error:
            raise DatabaseUnusable(f"{self.setting}: is no URL of a database; {SHAPE}") from error
        if parsed.get_backend_name() not in {"postgresql", "postgres"}:
            raise DatabaseUnusable(f"{self.setting}: names {parsed.drivername}; only PostgreSQL will do: {SHAPE}")
        return parsed

    def refuse(self, what: str) -> DatabaseUnusable:
        """Make the error that says what is wrong with this database."""
        return DatabaseUnusable(f"{self.setting or 'the embedded database'}: {what}")


def look_at(place: Place, look: Callable[[psycopg.Connection], None], *, wait_seconds: float = 0.0) -> None:
    """Look at a database; a server that does not answer yet, or dies as we look, is waited for.

    Raises: DatabaseUnusable.
    """
    place.parse()
    patiently = Retrying(
        retry=retry_if_exception_type(DatabaseNotReached),
        wait=wait_fixed(RETRY_SECONDS),
        stop=stop_after_delay(wait_seconds),
        reraise=True,
    )
    patiently(_look_once, place, look)


def _look_once(place: Place, look: Callable[[psycopg.Connection], None]) -> None:
    with _connect(place) as connection:
        if connection.info.server_version < OLDEST_SERVER:
            version = connection.info.parameter_status("server_version")
            raise place.refuse(f"is PostgreSQL {version}; take 14 or later (18 is what we test with)")
        try:
            look(connection)
        except psycopg.Error as error:
            if find_fault(error) is None:
                raise
            raise _explain(place, error) from error


def _connect(place: Place) -> psycopg.Connection:
    try:
        return psycopg.connect(without_driver(place.url), autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.Error as error:
        raise _explain(place, error) from error


def _explain(place: Place, error: psycopg.Error) -> DatabaseUnusable:
    """Explain why there is no connection, or none any more, in one line and without the password."""
    reason = str(error).strip().splitlines()[-1].strip()
    password = place.parse().password
    if password:
        reason = reason.replace(str(password), "***")
    said = reason.partition("FATAL:")[2].strip()
    if not said or any(words in said for words in NOT_THERE_YET):
        where = place.parse()
        at = f"{where.host or 'the local socket'}:{where.port or 5432}"
        return DatabaseNotReached(
            f"{place.setting}: no PostgreSQL answers at {at}; start it, or mend the URL ({reason})"
        )
    cure = next((cure for words, cure in CURES if words in said), "make it, or mend the URL")
    return place.refuse(f"{said}; {cure}")


def check_schema(app: Place, *, wait_seconds: float = 0.0) -> None:
    """Check that the application may use a database, and that its schema is that of this version.

    Raises: DatabaseUnusable.
    """

    def check(connection: psycopg.Connection) -> None:
        revision = _read_revision(connection)
        _check_known(app, revision)
        newest = _load_revisions().get_current_head()
        if revision != newest:
            raise app.refuse(
                f"its schema is at {revision or 'no revision'}, this version needs {newest}; run `broker migrate`"
            )

    look_at(app, check, wait_seconds=wait_seconds)


def check_before_migration(owner: Place, app: Place, *, wait_seconds: float = 0.0) -> None:
    """Check all that a migration needs, and that the application could use what it makes.

    Raises: DatabaseUnusable.
    """
    app_role = app.parse().username or ""

    def check(connection: psycopg.Connection) -> None:
        _check_known(owner, _read_revision(connection))
        _check_owner(owner, connection)
        _check_extension(owner, connection)
        _check_app_role(app, app_role, connection)

    look_at(owner, check, wait_seconds=wait_seconds)


def _read_revision(connection: psycopg.Connection) -> str | None:
    """Read the revision of the schema; None where there is none, or an earlier one than says so to the application."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return None
    return None if row is None else str(row[0])


def _load_revisions() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config(""))


def _check_known(place: Place, revision: str | None) -> None:
    known = {script.revision for script in _load_revisions().walk_revisions()}
    if revision is not None and revision not in known:
        raise place.refuse(f"its schema is at {revision}, which this version does not know; run the newer release")


def _check_owner(owner: Place, connection: psycopg.Connection) -> None:
    """Check that the role may make tables, owns those that are there, and can make the application's role."""
    role = connection.info.user
    facts = connection.execute(
        "SELECT has_schema_privilege('public', 'CREATE'),"
        " (SELECT bool_and(pg_has_role(tableowner, 'USAGE')) FROM pg_tables WHERE schemaname = 'public'),"
        " (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),"
        " EXISTS (SELECT FROM pg_roles WHERE rolname = %s)",
        [APP_ROLE],
    ).fetchone()
    assert facts is not None, "a SELECT without FROM has one row"
    may_create, owns_tables, may_make_roles, has_app_role = facts
    if owns_tables is False:
        raise owner.refuse(f"{role!r} does not own the tables there; name their owner")
    if not may_create:
        raise owner.refuse(f"{role!r} may not make tables; GRANT CREATE ON SCHEMA public TO it, or name the owner")
    if not (has_app_role or may_make_roles):
        cure = f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '…' first"
        raise owner.refuse(f"there is no role {APP_ROLE}, and {role!r} may not make one; {cure}")


def _check_extension(owner: Place, connection: psycopg.Connection) -> None:
    """Check that the extension is there, or can be made, by which the database keeps contracts apart."""
    facts = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = %(name)s),"
        " EXISTS (SELECT FROM pg_available_extensions WHERE name = %(name)s),"
        " has_database_privilege(current_database(), 'CREATE')",
        {"name": EXTENSION},
    ).fetchone()
    assert facts is not None, "a SELECT without FROM has one row"
    is_made, is_available, may_make = facts
    if not (is_made or is_available):
        raise owner.refuse(f"its server has no extension {EXTENSION}; install the contrib package of PostgreSQL there")
    if not (is_made or may_make):
        cure = f"CREATE EXTENSION {EXTENSION} there first, or GRANT CREATE ON DATABASE to it"
        raise owner.refuse(f"{connection.info.user!r} may not make the extension {EXTENSION}; {cure}")


def _check_app_role(app: Place, role: str, connection: psycopg.Connection) -> None:
    """Check that the application's role is there, or will be, and that row-level security will bind it."""
    found = connection.execute(ROLE, [role]).fetchone()
    if found is None and role != APP_ROLE:
        raise app.refuse(f"there is no role {role!r}; connect as {APP_ROLE}, which the migration makes")
    if found is not None and found[0]:
        raise app.refuse(f"{role!r} bypasses row-level security; connect as a plain role such as {APP_ROLE!r}")
