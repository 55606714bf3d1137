"""Payments as they came in, what they are allocated to, and refunds with the way by which they go back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0087"
down_revision = "0086"
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
OPEN = "allocated_micros + returned_micros < amount_micros"


def upgrade() -> None:
    create_payments()
    create_allocations()
    create_refunds()
    for table in ("payments", "payment_allocations", "refunds"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APP_ROLE}")


def words(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=nullable) for name in names]


def whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def refer(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=op.f(f"fk_{table}_{column}_{referred}"))


def index(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def create_payments() -> None:
    op.create_table(
        "payments",
        *words("id"),
        *words("customer_id", nullable=True),
        *words("source", "account", "serial"),
        *whole("amount_micros", "allocated_micros", "returned_micros"),
        sa.Column("value_on", sa.Date(), nullable=False),
        *words("payer_name", "payer_account", "payer_bank", "remark", "outcome", "reason"),
        sa.Column("candidates", postgresql.JSONB(), nullable=False),
        *words("author"),
        moment("created_at"),
        sa.CheckConstraint("amount_micros > 0", name=op.f("ck_payments_money_came")),
        sa.CheckConstraint(
            "allocated_micros >= 0 AND returned_micros >= 0 AND allocated_micros + returned_micros <= amount_micros",
            name=op.f("ck_payments_spent_once"),
        ),
        refer("payments", "customer_id", "customers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("source", "account", "serial", name=op.f("uq_payments_source_account_serial")),
    )
    index("payments", "customer_id", "payer_name", "payer_account")
    op.create_index("ix_payments_open", "payments", ["id"], postgresql_where=sa.text(OPEN))


def create_allocations() -> None:
    op.create_table(
        "payment_allocations",
        *words("id", "payment_id", "customer_id", "contract_id"),
        *words("invoice_id", nullable=True),
        *words("kind"),
        *whole("amount_micros", "fee_micros"),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        *words("author"),
        moment("created_at"),
        moment("undone_at", nullable=True),
        *words("undone_by", "undone_reason", nullable=True),
        sa.CheckConstraint("amount_micros > 0 AND fee_micros >= 0", name=op.f("ck_payment_allocations_pays_something")),
        refer("payment_allocations", "payment_id", "payments"),
        refer("payment_allocations", "customer_id", "customers"),
        refer("payment_allocations", "contract_id", "contracts"),
        refer("payment_allocations", "invoice_id", "invoices"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_allocations")),
    )
    index("payment_allocations", "payment_id", "customer_id", "invoice_id")


def create_refunds() -> None:
    op.create_table(
        "refunds",
        *words("id"),
        *words("customer_id", "contract_id", "payment_id", nullable=True),
        *words("taken_from", "method", "status"),
        *whole("amount_micros"),
        *words("payee_name", "payee_account", "payee_bank", "reason", "author"),
        moment("created_at"),
        *words("sent_by", nullable=True),
        moment("sent_at", nullable=True),
        *words("bank_reference", "ended_by", nullable=True),
        moment("ended_at", nullable=True),
        *words("failure", nullable=True),
        sa.CheckConstraint("amount_micros > 0", name=op.f("ck_refunds_gives_something")),
        sa.CheckConstraint(
            "(contract_id IS NULL) = (payment_id IS NOT NULL)", name=op.f("ck_refunds_of_contract_or_payment")
        ),
        refer("refunds", "customer_id", "customers"),
        refer("refunds", "contract_id", "contracts"),
        refer("refunds", "payment_id", "payments"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    )
    index("refunds", "customer_id", "contract_id", "payment_id")


def downgrade() -> None:
    for table in ("refunds", "payment_allocations", "payments"):
        op.drop_table(table)
