"""A contract has a number, which one contract of a customer has at a time, terms of payment and a credit limit.

A contract of before has its id as its number, so that several stay in force beside each other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

# Columns with what contracts of before have agreed on: due in 30 days, a budget that stops, arrears as usual.
ADDED = (
    ("committed_tokens", sa.BigInteger(), "0"),
    ("payment_days", sa.BigInteger(), "30"),
    ("budget_hard_stop", sa.Boolean(), sa.true()),
    ("arrears_grace_days", sa.BigInteger(), "7"),
    ("arrears_suspended_days", sa.BigInteger(), "15"),
    ("arrears_retention_days", sa.BigInteger(), "30"),
)
OPTIONAL = (
    ("contract_number", sa.String()),
    ("purchase_order", sa.String()),
    ("credit_limit_micros", sa.BigInteger()),
    ("cancelled_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    for name, kind, default in ADDED:
        op.add_column("contracts", sa.Column(name, kind, nullable=False, server_default=default))
        op.alter_column("contracts", name, server_default=None)
    for name, kind in OPTIONAL:
        op.add_column("contracts", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE contracts SET contract_number = id")
    op.alter_column("contracts", "contract_number", nullable=False)
    op.execute(
        "ALTER TABLE contracts ADD CONSTRAINT ex_contracts_one_number_at_a_time EXCLUDE USING gist"
        " (customer_id WITH =, contract_number WITH =, tstzrange(starts_at, ends_at) WITH &&)"
        " WHERE (cancelled_at IS NULL)"
    )


def downgrade() -> None:
    """Go back to contracts without numbers; refused where one was cancelled: an older release would let it run."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contracts WHERE cancelled_at IS NOT NULL) THEN
               RAISE EXCEPTION 'contracts were cancelled, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_constraint("ex_contracts_one_number_at_a_time", "contracts")
    op.execute("DROP EXTENSION btree_gist")
    for name in [name for name, *_ in (*ADDED, *OPTIONAL)]:
        op.drop_column("contracts", name)
