"""Stripe: what was asked of it, what it has, the events that it sent, and where an invoice can be paid."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0092"
down_revision = "0091"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
IN_BATCH = (
    "current_setting('broker.scope', true) = 'tenants'"
    " AND customer_id = ANY (string_to_array(current_setting('broker.customer_id', true), ','))"
)
OF_CUSTOMERS = ("stripe_customers", "stripe_invoices", "stripe_steps", "stripe_payments")
WITH_SEQUENCE = ("stripe_steps", "stripe_differences", "received_events")


def upgrade() -> None:
    op.add_column("invoices", sa.Column("payment_url", sa.String(), nullable=True))
    create_customers()
    create_invoices()
    create_steps()
    create_payments()
    create_differences()
    create_events()
    for table in OF_CUSTOMERS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
    for table in ("stripe_customers", "stripe_invoices", "stripe_steps", "received_events"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APP_ROLE}")
    op.execute(f"GRANT SELECT, INSERT ON stripe_payments TO {APP_ROLE}")
    op.execute(f"GRANT SELECT, INSERT, DELETE ON stripe_differences TO {APP_ROLE}")
    for table in WITH_SEQUENCE:
        op.execute(f"GRANT USAGE ON SEQUENCE {table}_id_seq TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON stripe_payments"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def words(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=nullable) for name in names]


def whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def flags(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]


def moments(*names: str, nullable: bool = False) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.DateTime(timezone=True), nullable=nullable) for name in names]


def counted() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False)


def refer(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=op.f(f"fk_{table}_{column}_{referred}"))


def key(table: str, column: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(column, name=op.f(f"pk_{table}"))


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def index(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def create_customers() -> None:
    table = "stripe_customers"
    op.create_table(
        table,
        *words("customer_id"),
        *words("email", "stripe_id", nullable=True),
        *flags("collects"),
        *moments("created_at", "changed_at"),
        refer(table, "customer_id", "customers"),
        key(table, "customer_id"),
        unique(table, "stripe_id"),
    )


def create_invoices() -> None:
    table = "stripe_invoices"
    op.create_table(
        table,
        *words("invoice_id", "customer_id", "status"),
        *words("stripe_id", "hosted_url", "problem", nullable=True),
        *flags("has_lines", "is_summary", "settled"),
        *whole("asked_fen", "credited_fen", "remaining_fen"),
        *moments("created_at", "changed_at"),
        refer(table, "invoice_id", "invoices"),
        refer(table, "customer_id", "customers"),
        key(table, "invoice_id"),
        unique(table, "stripe_id"),
    )
    index(table, "customer_id")
    op.create_index("ix_stripe_invoices_unsettled", table, ["invoice_id"], postgresql_where=sa.text("NOT settled"))


def create_steps() -> None:
    table = "stripe_steps"
    op.create_table(
        table,
        counted(),
        *words("customer_id", "object_id", "step", "kind", "state"),
        *words("invoice_id", "stripe_id", "last_error", nullable=True),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        *whole("key_number", "failures"),
        *flags("must_search"),
        *moments("not_before", "created_at"),
        *moments("key_sent_at", "ended_at", nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'refused', 'dropped')", name=op.f("ck_stripe_steps_known_state")
        ),
        refer(table, "customer_id", "customers"),
        refer(table, "invoice_id", "invoices"),
        key(table, "id"),
        unique(table, "object_id", "step"),
    )
    op.create_index("ix_stripe_steps_invoice", table, ["invoice_id"])
    op.create_index("ix_stripe_steps_waiting", table, ["not_before"], postgresql_where=sa.text("state = 'waiting'"))


def create_payments() -> None:
    table = "stripe_payments"
    op.create_table(
        table,
        *words("id", "customer_id", "invoice_id", "payment_id", "payment_intent"),
        *whole("amount_micros"),
        *moments("created_at"),
        refer(table, "customer_id", "customers"),
        refer(table, "invoice_id", "invoices"),
        refer(table, "payment_id", "payments"),
        key(table, "id"),
    )
    index(table, "customer_id", "invoice_id", "payment_id", "payment_intent")


def create_differences() -> None:
    table = "stripe_differences"
    op.create_table(
        table,
        counted(),
        *words("kind", "ours", "theirs", "cure"),
        *words("invoice_id", "stripe_id", nullable=True),
        *moments("found_at"),
        key(table, "id"),
    )


def create_events() -> None:
    table = "received_events"
    op.create_table(
        table,
        counted(),
        *words("provider", "event_id", "type"),
        *words("object_id", "last_error", nullable=True),
        *whole("failures"),
        *moments("not_before", "sent_at", "received_at"),
        *moments("handled_at", nullable=True),
        key(table, "id"),
        unique(table, "provider", "event_id"),
    )
    op.create_index("ix_received_events_waiting", table, ["not_before"], postgresql_where=sa.text("handled_at IS NULL"))


def downgrade() -> None:
    for table in ("received_events", "stripe_differences", "stripe_payments", "stripe_steps"):
        op.drop_table(table)
    for table in ("stripe_invoices", "stripe_customers"):
        op.drop_table(table)
    op.drop_column("invoices", "payment_url")
