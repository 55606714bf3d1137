"""Tenant isolation by row-level security, records that cannot be changed, the application's role, the shared queues."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"

TENANT_TABLES = (
    "projects",
    "api_keys",
    "contracts",
    "grants",
    "ledger_accounts",
    "ledger_transfers",
    "ledger_entries",
    "holds",
    "hold_legs",
    "captures",
    "closed_months",
    "datasets",
    "quotes",
    "jobs",
    "job_events",
    "runs",
    "checkpoints",
    "usage_events",
    "adapters",
    "invoices",
    "invoice_lines",
    "queues",
    "idempotency_keys",
)
SHARED_TABLES = ("rate_cards", "calibrations", "pools", "outbox", "invoice_numbers")
RECORDS = (
    "rate_cards",
    "calibrations",
    "ledger_transfers",
    "ledger_entries",
    "captures",
    "closed_months",
    "usage_events",
    "job_events",
)
DELETABLE = ("invoice_lines", "idempotency_keys")

SEES_ALL = "current_setting('broker.scope', true) = 'all'"
IS_TENANT = "current_setting('broker.scope', true) = 'tenant'"
OWN_ID = "current_setting('broker.customer_id', true)"


def upgrade() -> None:
    create_role()
    isolate("customers", "id")
    for table in TENANT_TABLES:
        isolate(table, "customer_id")
    op.execute(
        "CREATE POLICY authenticate ON api_keys FOR SELECT"
        " USING (current_setting('broker.scope', true) = 'authenticate')"
    )
    op.execute(f"CREATE POLICY shared_queues ON queues FOR SELECT USING ({IS_TENANT} AND customer_id IS NULL)")
    for table in ("customers", *TENANT_TABLES, *SHARED_TABLES):
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APP_ROLE}")
    for table in DELETABLE:
        op.execute(f"GRANT DELETE ON {table} TO {APP_ROLE}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP_ROLE}")
    refuse_changes()
    op.execute(
        "INSERT INTO queues (name, priority, open, created_at)"
        " VALUES ('standard', 100, true, now()), ('priority', 200, true, now())"
    )


def create_role() -> None:
    op.execute(
        f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
                CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database's migration was quicker
        END $$
        """
    )
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}")


def isolate(table: str, column: str) -> None:
    mine = f"{SEES_ALL} OR ({IS_TENANT} AND {column} = {OWN_ID})"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({mine}) WITH CHECK ({mine})")


def refuse_changes() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is a record: it is never changed or deleted', TG_TABLE_NAME;
        END $$
        """
    )
    for table in RECORDS:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"REVOKE UPDATE ON {table} FROM {APP_ROLE}")


def downgrade() -> None:
    op.execute("DELETE FROM queues WHERE name IN ('standard', 'priority')")
    for table in RECORDS:
        op.execute(f"DROP TRIGGER refuse_change ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute("DROP POLICY shared_queues ON queues")
    op.execute("DROP POLICY authenticate ON api_keys")
    for table in ("customers", *TENANT_TABLES):
        op.execute(f"DROP POLICY own_rows ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    for table in ("customers", *TENANT_TABLES, *SHARED_TABLES):
        op.execute(f"REVOKE ALL ON {table} FROM {APP_ROLE}")
