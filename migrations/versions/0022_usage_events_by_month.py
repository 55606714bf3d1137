"""Usage events are partitioned by month, known by a key of their own, and added up by the hour.

An event of a run gets the key that its run and number give it; quarantined ones get theirs as well.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
KEY_PARTITIONS = 16
MONTHS_AHEAD = 3
REFUSE_CHANGE = (
    "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
)
# What one partition gets besides its bounds: the same isolation as its parent, should anybody ask it itself.
OPEN_PARTITION = """
CREATE FUNCTION open_usage_month(month date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', month)::timestamp AT TIME ZONE 'UTC';
    following timestamptz := (date_trunc('month', month) + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    partition text := 'usage_events_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL
       OR EXISTS (SELECT FROM usage_events_default WHERE ended_at >= first AND ended_at < following) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF usage_events FOR VALUES FROM (%L) TO (%L)', partition, first,
                   following);
    PERFORM isolate_partition(partition);
    RETURN true;
END $$
"""
ISOLATE_PARTITION = f"""
CREATE FUNCTION isolate_partition(partition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', partition);
    EXECUTE format('CREATE POLICY own_rows ON %I USING (%s) WITH CHECK (%s)', partition, $c${OWN_ROWS}$c$,
                   $c${OWN_ROWS}$c$);
    EXECUTE format('{REFUSE_CHANGE.format(table="%I")}', partition);
END $$
"""
KEPT = (
    "customer_id, contract_id, job_id, gpu_seconds, tokens, started_at, ended_at, checkpoint_step, event, received_at"
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(ISOLATE_PARTITION)
    op.execute("REVOKE ALL ON FUNCTION isolate_partition(text) FROM PUBLIC")
    create_keys()
    create_rollups()
    partition_events()
    widen_quarantine()
    fill_keys()
    fill_rollups()


def isolate(table: str, rights: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")


def moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def create_keys() -> None:
    op.create_table(
        "usage_event_keys",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("digest", sa.Uuid(), nullable=False),
        moment("ended_at"),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("pk_usage_event_keys")),
        postgresql_partition_by="HASH (source, event_id)",
    )
    isolate("usage_event_keys", "SELECT, INSERT")
    op.execute(REFUSE_CHANGE.format(table="usage_event_keys"))
    for number in range(KEY_PARTITIONS):
        partition = f"usage_event_keys_{number:02}"
        op.execute(
            f"CREATE TABLE {partition} PARTITION OF usage_event_keys"
            f" FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {number})"
        )
        op.execute(f"SELECT isolate_partition('{partition}')")


def create_rollups() -> None:
    dimensions = ("contract_id", "project_id", "job_id", "source", "gpu_type")
    op.create_table(
        "usage_rollups",
        moment("hour"),
        *[sa.Column(name, sa.String(), nullable=False) for name in dimensions],
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ("gpu_seconds", "tokens", "events")],
        sa.PrimaryKeyConstraint("hour", *dimensions, "labels", name=op.f("pk_usage_rollups")),
    )
    op.create_index("ix_usage_rollups_customer_hour", "usage_rollups", ["customer_id", "hour"])
    isolate("usage_rollups", "SELECT, INSERT, UPDATE")


def partition_events() -> None:
    op.execute("ALTER TABLE usage_events RENAME TO usage_events_of_runs")
    for name in ("pk_usage_events", "ck_usage_events_not_negative"):
        op.execute(f"ALTER TABLE usage_events_of_runs RENAME CONSTRAINT {name} TO {name}_of_runs")
    op.execute("ALTER INDEX ix_usage_events_job_id RENAME TO ix_usage_events_of_runs_job_id")
    create_events()
    op.execute("CREATE TABLE usage_events_default PARTITION OF usage_events DEFAULT")
    op.execute("SELECT isolate_partition('usage_events_default')")
    op.execute(OPEN_PARTITION)
    op.execute("REVOKE ALL ON FUNCTION open_usage_month(date) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION open_usage_month(date) TO {APP_ROLE}")
    op.execute(
        f"""SELECT open_usage_month(month::date) FROM (
                SELECT DISTINCT date_trunc('month', ended_at AT TIME ZONE 'UTC') FROM usage_events_of_runs
                UNION SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                                             date_trunc('month', now() AT TIME ZONE 'UTC')
                                             + interval '{MONTHS_AHEAD} months', interval '1 month')) AS m (month)
            ORDER BY month"""
    )
    op.execute(
        f"""INSERT INTO usage_events (source, event_id, run_id, sequence, project_id, labels, {KEPT})
            SELECT '/runs/' || run_id, run_id || '/' || sequence, run_id, sequence,
                   (SELECT project_id FROM jobs WHERE jobs.id = job_id), '{{}}', {KEPT}
            FROM usage_events_of_runs"""
    )
    op.execute("DROP TABLE usage_events_of_runs")


def create_events() -> None:
    texts = {"run_id": False, "customer_id": False, "contract_id": False, "project_id": True, "job_id": True}
    op.create_table(
        "usage_events",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        moment("ended_at"),
        *[sa.Column(name, sa.String(), nullable=nullable) for name, nullable in texts.items()],
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=True),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        moment("started_at"),
        sa.Column("checkpoint_step", sa.BigInteger(), nullable=True),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        moment("received_at"),
        sa.CheckConstraint("gpu_seconds >= 0 AND tokens >= 0", name=op.f("ck_usage_events_not_negative")),
        sa.PrimaryKeyConstraint("source", "event_id", "ended_at", name=op.f("pk_usage_events")),
        postgresql_partition_by="RANGE (ended_at)",
    )
    op.create_index("ix_usage_events_run", "usage_events", ["run_id", "sequence"])
    op.create_index("ix_usage_events_customer_ended", "usage_events", ["customer_id", "ended_at"])
    op.create_index(op.f("ix_usage_events_job_id"), "usage_events", ["job_id"])
    isolate("usage_events", "SELECT, INSERT")
    op.execute(REFUSE_CHANGE.format(table="usage_events"))


def widen_quarantine() -> None:
    for name in ("source", "event_id"):
        op.add_column("quarantined_usage", sa.Column(name, sa.String(), nullable=True))
    op.execute("ALTER TABLE quarantined_usage DISABLE TRIGGER refuse_change")
    op.execute("UPDATE quarantined_usage SET source = '/runs/' || run_id, event_id = run_id || '/' || sequence")
    op.execute("ALTER TABLE quarantined_usage ENABLE TRIGGER refuse_change")
    for name in ("source", "event_id"):
        op.alter_column("quarantined_usage", name, nullable=False)
    op.create_unique_constraint(
        op.f("uq_quarantined_usage_source_event_id"), "quarantined_usage", ["source", "event_id"]
    )


def fill_keys() -> None:
    op.execute(
        """INSERT INTO usage_event_keys (source, event_id, customer_id, digest, ended_at)
           SELECT source, event_id, customer_id, md5(event::text)::uuid, ended_at FROM usage_events
           UNION ALL
           SELECT source, event_id, customer_id, md5(event::text)::uuid, ended_at FROM quarantined_usage"""
    )


def fill_rollups() -> None:
    op.execute(
        """INSERT INTO usage_rollups (hour, contract_id, project_id, job_id, source, gpu_type, labels, customer_id,
                                      gpu_seconds, tokens, events)
           SELECT date_trunc('hour', ended_at, 'UTC'), contract_id, coalesce(project_id, ''), coalesce(job_id, ''), '',
                  coalesce(gpu_type, ''), labels, customer_id, sum(gpu_seconds), sum(tokens), count(*)
           FROM usage_events GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""
    )


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.drop_constraint(op.f("uq_quarantined_usage_source_event_id"), "quarantined_usage", type_="unique")
    for name in ("source", "event_id"):
        op.drop_column("quarantined_usage", name)
    restore_events_of_runs()
    for table in ("usage_rollups", "usage_event_keys"):
        op.drop_table(table)
    op.execute("DROP FUNCTION open_usage_month(date)")
    op.execute("DROP FUNCTION isolate_partition(text)")


def restore_events_of_runs() -> None:
    op.execute("ALTER TABLE usage_events RENAME TO usage_events_by_month")
    for name in ("pk_usage_events", "ck_usage_events_not_negative"):
        op.execute(f"ALTER TABLE usage_events_by_month RENAME CONSTRAINT {name} TO {name}_by_month")
    op.execute("ALTER INDEX ix_usage_events_job_id RENAME TO ix_usage_events_by_month_job_id")
    owners = ("run", "customer", "contract", "job")
    op.create_table(
        "usage_events",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *[sa.Column(f"{owner}_id", sa.String(), nullable=False) for owner in owners[1:]],
        sa.Column("gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        moment("started_at"),
        moment("ended_at"),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        moment("received_at"),
        sa.Column("checkpoint_step", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("gpu_seconds >= 0 AND tokens >= 0", name=op.f("ck_usage_events_not_negative")),
        sa.PrimaryKeyConstraint("run_id", "sequence", name=op.f("pk_usage_events")),
        *[
            sa.ForeignKeyConstraint(
                [f"{owner}_id"], [f"{owner}s.id"], name=op.f(f"fk_usage_events_{owner}_id_{owner}s")
            )
            for owner in owners
        ],
    )
    op.create_index(op.f("ix_usage_events_job_id"), "usage_events", ["job_id"])
    isolate("usage_events", "SELECT, INSERT")
    op.execute(
        f"""INSERT INTO usage_events (run_id, sequence, {KEPT})
            SELECT run_id, sequence, {KEPT} FROM usage_events_by_month"""
    )
    op.execute(REFUSE_CHANGE.format(table="usage_events"))
    op.drop_table("usage_events_by_month")
