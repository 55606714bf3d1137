"""Webhooks: where customers' programs listen, what they are told, and the triggers that note it with the record.

A trigger looks at each record of a feature as it is written, and notes what an endpoint of that customer listens to:
the note is committed with the record, or not at all. Which records those are is the endpoint's (`records`).
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0122"
down_revision = "0121"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)
RIGHTS = {
    "webhook_endpoints": "SELECT, INSERT, UPDATE",
    "webhook_outbox": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_events": "SELECT, INSERT, DELETE",
    "webhook_deliveries": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_attempts": "SELECT, INSERT",
}
# Of each table of records what is noted of a row of it (`n`): source, kind, object and facts.
NOTED = {
    "job_events": ("'job'", "n.kind", "n.job_id", "n.data"),
    "contract_events": ("'contract'", "n.kind", "n.contract_id", "n.data"),
    "adapters": (
        "'adapter'",
        "'created'",
        "n.id",
        "jsonb_build_object('job_id', n.job_id, 'run_id', n.run_id, 'name', n.name, 'version', n.version)",
    ),
}


def upgrade() -> None:
    create_tables()
    for table, rights in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    # What happened and what came of it is swept by age, and changed by nobody.
    for table in ("webhook_events", "webhook_attempts"):
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(f"GRANT USAGE ON SEQUENCE webhook_outbox_id_seq TO {APP_ROLE}")
    for table, noted in NOTED.items():
        note_statement(table, *noted)
    note_invoices()
    op.alter_column("notices", "contract_id", nullable=True)


def note_statement(table: str, source: str, kind: str, object_id: str, facts: str) -> None:
    """Note what one statement writes, all its rows at once."""
    op.execute(
        f"CREATE FUNCTION note_{table}_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO webhook_outbox (customer_id, source, kind, object_id, data, happened_at)"
        f" SELECT n.customer_id, {source}, {kind}, {object_id}, {facts}, n.created_at FROM written n WHERE EXISTS"
        " (SELECT FROM webhook_endpoints e WHERE e.customer_id = n.customer_id AND e.removed_at IS NULL"
        f" AND {source} || ':' || {kind} = ANY (e.records)); RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER note_for_webhooks AFTER INSERT ON {table} REFERENCING NEW TABLE AS written"
        f" FOR EACH STATEMENT EXECUTE FUNCTION note_{table}_for_webhooks()"
    )


def note_invoices() -> None:
    """Note that an invoice has become final: it is looked at where its moment of that is written."""
    op.execute(
        "CREATE FUNCTION note_invoices_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO webhook_outbox (customer_id, source, kind, object_id, data, happened_at)"
        " SELECT NEW.customer_id, 'invoice', 'issued', NEW.id, jsonb_build_object('contract_id', NEW.contract_id,"
        " 'number', NEW.number, 'month', NEW.month), NEW.finalized_at WHERE EXISTS (SELECT FROM webhook_endpoints e"
        " WHERE e.customer_id = NEW.customer_id AND e.removed_at IS NULL AND 'invoice:issued' = ANY (e.records));"
        " RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER note_for_webhooks AFTER UPDATE OF finalized_at ON invoices FOR EACH ROW"
        " WHEN (OLD.finalized_at IS NULL AND NEW.finalized_at IS NOT NULL)"
        " EXECUTE FUNCTION note_invoices_for_webhooks()"
    )
    op.execute(
        "CREATE TRIGGER note_new_for_webhooks AFTER INSERT ON invoices FOR EACH ROW"
        " WHEN (NEW.finalized_at IS NOT NULL) EXECUTE FUNCTION note_invoices_for_webhooks()"
    )


def moment(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def word(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.String(), nullable=nullable)


def refer(table: str, column: str, to: str, **options: str) -> "sa.ForeignKeyConstraint":
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"), **options)


def create_tables() -> None:
    op.create_table(
        "webhook_endpoints",
        word("id"),
        word("customer_id"),
        word("project_id", nullable=True),
        word("name"),
        word("url"),
        sa.Column("event_types", ARRAY(sa.Text()), nullable=False),
        sa.Column("records", ARRAY(sa.Text()), nullable=False),
        word("secret"),
        word("former_secret", nullable=True),
        moment("former_until", nullable=True),
        word("status"),
        word("disabled_for", nullable=True),
        moment("disabled_at", nullable=True),
        moment("failing_since", nullable=True),
        moment("last_taken_at", nullable=True),
        moment("created_at"),
        moment("removed_at", nullable=True),
        refer("webhook_endpoints", "customer_id", "customers"),
        refer("webhook_endpoints", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index(op.f("ix_webhook_endpoints_customer_id"), "webhook_endpoints", ["customer_id"])
    op.create_table(
        "webhook_outbox",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        word("customer_id"),
        word("source"),
        word("kind"),
        word("object_id"),
        sa.Column("data", JSONB(), nullable=False),
        moment("happened_at"),
        refer("webhook_outbox", "customer_id", "customers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_outbox")),
    )
    op.create_table(
        "webhook_events",
        word("id"),
        word("customer_id"),
        word("project_id", nullable=True),
        word("type"),
        sa.Column("data", JSONB(), nullable=False),
        moment("happened_at"),
        moment("created_at"),
        refer("webhook_events", "customer_id", "customers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
    )
    op.create_index("ix_webhook_events_happened_at", "webhook_events", ["customer_id", "happened_at"])
    op.create_index(op.f("ix_webhook_events_created_at"), "webhook_events", ["created_at"])
    create_deliveries()


def create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        word("id"),
        word("customer_id"),
        word("endpoint_id"),
        word("event_id"),
        word("event_type"),
        word("status"),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        moment("not_before"),
        moment("created_at"),
        moment("ended_at", nullable=True),
        refer("webhook_deliveries", "customer_id", "customers"),
        refer("webhook_deliveries", "endpoint_id", "webhook_endpoints"),
        refer("webhook_deliveries", "event_id", "webhook_events"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("endpoint_id", "event_id", name=op.f("uq_webhook_deliveries_endpoint_id_event_id")),
    )
    due = {"postgresql_where": sa.text("status = 'pending'")}
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["not_before"], **due)
    op.create_index("ix_webhook_deliveries_event_id", "webhook_deliveries", ["event_id"])
    op.create_table(
        "webhook_attempts",
        word("id"),
        word("customer_id"),
        word("delivery_id"),
        word("endpoint_id"),
        word("event_id"),
        word("event_type"),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("status_code", sa.BigInteger(), nullable=True),
        word("answer", nullable=True),
        word("error", nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        moment("created_at"),
        refer("webhook_attempts", "customer_id", "customers"),
        refer("webhook_attempts", "delivery_id", "webhook_deliveries", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempts")),
    )
    op.create_index(op.f("ix_webhook_attempts_delivery_id"), "webhook_attempts", ["delivery_id"])
    op.create_index("ix_webhook_attempts_endpoint_id", "webhook_attempts", ["endpoint_id", "id"])


def downgrade() -> None:
    op.execute("DELETE FROM notices WHERE contract_id IS NULL")
    op.alter_column("notices", "contract_id", nullable=False)
    op.execute("DROP TRIGGER note_new_for_webhooks ON invoices")
    for table in (*NOTED, "invoices"):
        op.execute(f"DROP TRIGGER note_for_webhooks ON {table}")
        op.execute(f"DROP FUNCTION note_{table}_for_webhooks()")
    for table in reversed(RIGHTS):
        op.drop_table(table)
