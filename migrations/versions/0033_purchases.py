"""Hours are ordered, by hand or by a rule: purchases, and invoices that are void where they are not paid in time.

Grants have rules for their term and for what becomes of their unused part; those of before lapse.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true)"
)


def upgrade() -> None:
    op.add_column("invoices", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("grants", sa.Column("term_months", sa.BigInteger(), nullable=True))
    op.add_column("grants", sa.Column("rollover", sa.String(), nullable=False, server_default="none"))
    op.add_column("grants", sa.Column("rollover_percent", sa.BigInteger(), nullable=False, server_default="100"))
    for name in ("rollover", "rollover_percent"):
        op.alter_column("grants", name, server_default=None)
    op.create_check_constraint(op.f("ck_grants_rollover_is_a_share"), "grants", "rollover_percent BETWEEN 1 AND 100")
    create_purchases()
    create_top_up_rules()
    for table, rights in (("purchases", "SELECT, INSERT, UPDATE"), ("top_up_rules", "SELECT, INSERT, UPDATE, DELETE")):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")


def create_purchases() -> None:
    op.create_table(
        "purchases",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("contract_id", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=False),
        sa.Column("invoice_id", sa.String(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("total_micros", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_purchases_contract_id_contracts")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_purchases_customer_id_customers")),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_purchases_grant_id_grants")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_purchases_invoice_id_invoices")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchases")),
        sa.UniqueConstraint("grant_id", name=op.f("uq_purchases_grant_id")),
    )
    op.create_index("ix_purchases_open", "purchases", ["expires_at"], postgresql_where=sa.text("status = 'open'"))
    for column in ("contract_id", "customer_id"):
        op.create_index(op.f(f"ix_purchases_{column}"), "purchases", [column])


def create_top_up_rules() -> None:
    op.create_table(
        "top_up_rules",
        sa.Column("contract_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("threshold_gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("purchase_gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "threshold_gpu_seconds >= 0 AND purchase_gpu_seconds > 0", name=op.f("ck_top_up_rules_quantities_positive")
        ),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_top_up_rules_contract_id_contracts")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_top_up_rules_customer_id_customers")),
        sa.PrimaryKeyConstraint("contract_id", name=op.f("pk_top_up_rules")),
    )


def downgrade() -> None:
    op.drop_table("top_up_rules")
    op.drop_table("purchases")
    op.drop_constraint(op.f("ck_grants_rollover_is_a_share"), "grants", type_="check")
    for column in ("rollover_percent", "rollover", "term_months"):
        op.drop_column("grants", column)
    op.drop_column("invoices", "expires_at")
