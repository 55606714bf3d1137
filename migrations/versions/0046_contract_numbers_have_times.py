"""A contract number has a time of its own, so that it changes at a date; amendments can be withdrawn before theirs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
OWN_ROWS_OF_BATCH = (
    "current_setting('broker.scope', true) = 'tenants'"
    " AND customer_id = ANY (string_to_array(current_setting('broker.customer_id', true), ','))"
)
OF_CONTRACTS, OF_NUMBERS = "ex_contracts_one_number_at_a_time", "ex_contract_numbers_one_at_a_time"
NAME_AMENDMENTS = """
    UPDATE contracts c SET changes = (
        SELECT jsonb_agg(each.value || jsonb_build_object('amendment_id', (
            SELECT a.id FROM contract_amendments a
            WHERE a.contract_id = c.id AND a.effective_at = (each.value ->> 'effective_at')::timestamptz
            ORDER BY a.id LIMIT 1)) ORDER BY each.ordinality)
        FROM jsonb_array_elements(c.changes) WITH ORDINALITY AS each(value, ordinality))
    WHERE jsonb_array_length(c.changes) > 0"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    json = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("contract_amendments", sa.Column("grant_ends", json, nullable=False, server_default=sa.text("'[]'")))
    op.alter_column("contract_amendments", "grant_ends", server_default=None)
    _create_numbers()
    _create_withdrawals()
    op.execute(NAME_AMENDMENTS)
    op.execute(f"ALTER TABLE contracts DROP CONSTRAINT {OF_CONTRACTS}")


def _create_numbers() -> None:
    op.create_table(
        "contract_numbers",
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), primary_key=True),
        sa.Column("begins_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("contract_number", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.execute(
        f"ALTER TABLE contract_numbers ADD CONSTRAINT {OF_NUMBERS} EXCLUDE USING gist"
        " (customer_id WITH =, contract_number WITH =, tstzrange(begins_at, ends_at) WITH &&)"
    )
    op.execute(
        "INSERT INTO contract_numbers (contract_id, begins_at, customer_id, contract_number, ends_at)"
        " SELECT id, starts_at, customer_id, contract_number, ends_at FROM contracts WHERE cancelled_at IS NULL"
    )
    _close_to_others("contract_numbers", "SELECT, INSERT, UPDATE, DELETE")


def _create_withdrawals() -> None:
    op.create_table(
        "amendment_withdrawals",
        sa.Column("amendment_id", sa.String(), sa.ForeignKey("contract_amendments.id"), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=False),
    )
    _close_to_others("amendment_withdrawals", "SELECT, INSERT")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON amendment_withdrawals"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _close_to_others(table: str, rights: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({OWN_ROWS_OF_BATCH}) WITH CHECK ({OWN_ROWS_OF_BATCH})")
    op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")


def downgrade() -> None:
    """Go back to one number for the whole contract, the one that it was signed with."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contract_amendments) THEN
               RAISE EXCEPTION 'contracts were amended, which an older release cannot read';
           END IF; END $$"""
    )
    op.execute(
        f"ALTER TABLE contracts ADD CONSTRAINT {OF_CONTRACTS} EXCLUDE USING gist (customer_id WITH =,"
        " contract_number WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (cancelled_at IS NULL)"
    )
    op.drop_table("amendment_withdrawals")
    op.drop_table("contract_numbers")
    op.drop_column("contract_amendments", "grant_ends")
