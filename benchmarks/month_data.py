"""A month to close or to report on: contracts with jobs whose usage was captured, written by the database itself.

One customer signs one contract through the service; the others are its copies, and jobs, runs, captures and their sums
are made by SQL, with triggers and foreign keys put aside. An event is an interval of a run: it has two captures, one of
each meter. Whoever measures over it says how many contracts it has; each has `EVENTS` events in `JOBS` jobs.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from broker.all_tables import METADATA
from broker.config import Settings
from broker.contracts import service as contracts
from broker.contracts.terms.model import NewContract, QuoteGuarantee
from broker.identity.service import create_customer
from broker.persistence.embedded import start_embedded_server
from broker.processes.boot import DatabaseUrls, migrate_database, prepare
from broker.system import System, open_system
from pricing.plans import PlanName

MONTH = "2026-11"
BEGINS, CLOSES = datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 12, 3, 1, tzinfo=UTC)
EVENTS, JOBS = 100, 4
GROUP_BY = "SELECT contract_id, job_id, unit, sum(quantity) FROM captures GROUP BY contract_id, job_id, unit"


@dataclass
class Month:
    """A system with a month that is over, and the owner's address of its database."""

    system: System
    owner_url: str
    clock: "StandingClock"


@dataclass
class StandingClock:
    """A clock that stands."""

    now: datetime = BEGINS

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def open_month(contracts_wanted: int) -> AsyncIterator[Month]:
    """Open a database of its own with a month of so many contracts; it is gone after."""
    with tempfile.TemporaryDirectory(prefix="lora-broker-month-", ignore_cleanup_errors=True) as folder:
        server = start_embedded_server(Path(folder))
        try:
            urls = DatabaseUrls(server.app_url(), server.owner_url())
            migrate_database(urls)
            clock = StandingClock()
            opened = await prepare(Settings(data_dir=Path(folder) / "data", local_slots=0), urls)
            await opened.database.close()
            system = open_system(opened.services.settings, str(urls.app), clock=clock)
            await _sign(system)
            fill_month(server.owner_url(), contracts_wanted)
            clock.now = CLOSES
            yield Month(system, server.owner_url(), clock)
            await system.database.close()
        finally:
            server.stop()


async def _sign(system: System) -> None:
    """Sign the contract that all others are copies of."""
    async with system.work() as work:
        customer = await create_customer(work, "Customer 0")
        await contracts.create_contract(
            work,
            NewContract(
                customer_id=customer.id,
                plan=PlanName.ON_DEMAND,
                committed_gpu_hours=0,
                starts_at=BEGINS,
                ends_at=None,
                overage=None,
                quote_guarantee=QuoteGuarantee.CAP,
                monthly_budget_micros=None,
                time_zone=None,
                billing_day=1,
            ),
        )


def fill_month(owner_url: str, contracts_wanted: int) -> None:
    """Fill the month: copies of the only contract, and their usage."""
    sizes = {"contracts": contracts_wanted, "jobs": JOBS, "events": EVENTS // JOBS}
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SELECT set_config('broker.scope', 'all', false)")
        for statement in FILL:
            connection.execute(statement.format(**sizes).encode())
        connection.execute("VACUUM ANALYZE")


def _copy(table: str, changed: dict[str, str], numbers: str) -> str:
    """Compose what copies the rows of a table, with other values in some columns."""
    names = [column.name for column in METADATA.tables[table].columns]
    values = ", ".join(changed.get(name, f"t.{name}") for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} t, {numbers} ORDER BY n"


COPIES = "generate_series(1, {contracts} - 1) AS n"
NUMBERED = "(SELECT id, customer_id, row_number() OVER (ORDER BY id) AS place FROM contracts) c"
PER_JOB = f"{NUMBERED}, generate_series(1, {{jobs}}) AS j"
EMPTY = "'{{}}'::jsonb"
CAPTURED = """'2026-01-01', 'on_demand', '2026-11', '2026-11', NULL, NULL, '2026-11-10T00:00:00Z'"""
FILL = (
    _copy("customers", {"id": "'cus_' || lpad(n::text, 9, '0')", "name": "'Customer ' || n"}, COPIES),
    _copy(
        "contracts",
        {
            "id": "'con_' || lpad(n::text, 9, '0')",
            "customer_id": "'cus_' || lpad(n::text, 9, '0')",
            "contract_number": "'con_' || lpad(n::text, 9, '0')",
        },
        COPIES,
    ),
    f"""INSERT INTO jobs (id, customer_id, contract_id, dataset_id, labels, config, estimate, prefer, gpus, queue,
                          status, used_gpu_seconds, used_tokens, cost_micros, borne_micros, borne_gpu_seconds,
                          borne_tokens, attempts, uncounted_attempts, created_at)
        SELECT 'job_' || lpad(c.place::text, 9, '0') || j, c.customer_id, c.id, 'dat_1', {EMPTY}, {EMPTY}, {EMPTY},
               'cost', 1, 'standard', 'succeeded', 0, 0, 0, 0, 0, 0, 1, 0, '2026-11-02T00:00:00Z' FROM {PER_JOB}""",
    f"""INSERT INTO runs (id, customer_id, job_id, attempt, pool, gpus, gpu_type, pretends, status, used_gpu_seconds,
                          used_tokens, acknowledged_sequence, bears_lost_work, cause, lease_expires_at, created_at)
        SELECT 'run_' || lpad(c.place::text, 9, '0') || j, c.customer_id,
               'job_' || lpad(c.place::text, 9, '0') || j, 1, 'local', 1, 'rtx-4090', false, 'succeeded', 0, 0, 0,
               false, 'completed', '2026-11-02T00:00:00Z', '2026-11-02T00:00:00Z' FROM {PER_JOB}""",
    # In the order of time, as they come: what is of one contract lies far apart.
    f"""INSERT INTO captures (customer_id, contract_id, job_id, run_id, first_sequence, last_sequence, leg_id, unit,
                              quantity, unit_price, borne, billable, rate_card_version, plan, month, used_month,
                              corrects_id, added_by, created_at)
        SELECT c.customer_id, c.id, 'job_' || lpad(c.place::text, 9, '0') || j,
               'run_' || lpad(c.place::text, 9, '0') || j, e, e, 'leg_' || c.place || '_' || j || m.unit, m.unit,
               m.quantity + (c.place + e) % 7, m.price, false, true, {CAPTURED}
        FROM generate_series(0, {{events}} - 1) AS e, {PER_JOB},
             (VALUES ('gpu_seconds', 600, 6.8), ('tokens', 9000, 0.00012)) AS m (unit, quantity, price) ORDER BY e""",
    """INSERT INTO rate_lines (job_id, month, used_month, unit, unit_price, billable, contract_id, customer_id,
                               rate_card_version, quantity, leads)
       SELECT job_id, month, used_month, unit, unit_price, billable, contract_id, customer_id, rate_card_version,
              sum(quantity), false FROM captures GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9""",
    """INSERT INTO rate_segments (contract_id, month, used_month, unit, unit_price, billable, customer_id, quantity)
       SELECT contract_id, month, used_month, unit, unit_price, billable, customer_id, sum(quantity) FROM rate_lines
       GROUP BY 1, 2, 3, 4, 5, 6, 7""",
)
