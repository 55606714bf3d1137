"""Disputes of lines and of payments, with the moments of their states; invoices are found by what references say."""

import sqlalchemy as sa
from alembic import op

revision = "0088"
down_revision = "0087"
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


def words(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=nullable) for name in names]


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "disputes",
        *words("id", "customer_id", "contract_id", "invoice_id", "kind"),
        sa.Column("position", sa.BigInteger(), nullable=True),
        *words("payment_id", "case_number", nullable=True),
        *words("status"),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("gross_micros", sa.BigInteger(), nullable=False),
        *words("reason", "author"),
        moment("created_at"),
        *words("answer", "answered_by", nullable=True),
        moment("answered_at", nullable=True),
        *words("remedy", "remedy_id", "ended_by", nullable=True),
        moment("ended_at", nullable=True),
        sa.CheckConstraint(
            "amount_micros > 0 AND gross_micros >= amount_micros", name=op.f("ck_disputes_disputes_something")
        ),
        sa.CheckConstraint(
            "(kind = 'chargeback') = (payment_id IS NOT NULL)", name=op.f("ck_disputes_of_line_or_payment")
        ),
        sa.CheckConstraint("(kind = 'line') = (position IS NOT NULL)", name=op.f("ck_disputes_of_line")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_disputes_customer_id_customers")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_disputes_contract_id_contracts")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_disputes_invoice_id_invoices")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("case_number", name=op.f("uq_disputes_case_number")),
    )
    for column in ("customer_id", "invoice_id", "payment_id"):
        op.create_index(op.f(f"ix_disputes_{column}"), "disputes", [column])
    standing = sa.text("ended_at IS NULL")
    op.create_index("ix_disputes_standing", "disputes", ["invoice_id"], postgresql_where=standing)
    op.execute("ALTER TABLE disputes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE disputes FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON disputes USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON disputes USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON disputes TO {APP_ROLE}")
    op.create_index("ix_invoices_number_digits", "invoices", [sa.text("replace(number, '-', '')")])


def downgrade() -> None:
    op.drop_index("ix_invoices_number_digits", "invoices")
    op.drop_table("disputes")
