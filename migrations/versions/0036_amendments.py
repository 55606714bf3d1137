"""Contracts are amended: what changes from when on stands in the contract, and each amendment is a record."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)


def upgrade() -> None:
    json = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("contracts", sa.Column("changes", json, nullable=False, server_default=sa.text("'[]'")))
    op.alter_column("contracts", "changes", server_default=None)
    op.create_table(
        "contract_amendments",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False, index=True),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", json, nullable=False),
        sa.Column("added_gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("unused_grants", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), sa.ForeignKey("grants.id"), nullable=True),
        sa.Column("invoice_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute("ALTER TABLE contract_amendments ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE contract_amendments FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON contract_amendments USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON contract_amendments TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON contract_amendments"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    """Go back to contracts that never change; refused where one was amended: an older release would price it wrong."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contract_amendments) THEN
               RAISE EXCEPTION 'contracts were amended, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_table("contract_amendments")
    op.drop_column("contracts", "changes")
