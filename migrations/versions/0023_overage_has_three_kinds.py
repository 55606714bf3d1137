"""Overage is sold at on-demand prices, at the contract's, or not at all; billing months have a day of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

WORDS = {"bill": "contract", "refuse": "block"}


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("contracts", sa.Column("billing_day", sa.BigInteger(), nullable=False, server_default="1"))
    op.alter_column("contracts", "billing_day", server_default=None)
    op.create_check_constraint(
        op.f("ck_contracts_billing_day_in_every_month"), "contracts", "billing_day BETWEEN 1 AND 28"
    )
    for before, after in WORDS.items():
        rename(before, after)


def rename(before: str, after: str) -> None:
    op.execute(f"UPDATE contracts SET overage = '{after}' WHERE overage = '{before}'")


def downgrade() -> None:
    """Go back to two kinds; refused where contracts sell at on-demand prices: an older release cannot price those."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM contracts WHERE overage = 'on_demand' OR billing_day <> 1) THEN
               RAISE EXCEPTION 'contracts have terms that an older release cannot read';
           END IF; END $$"""
    )
    for before, after in WORDS.items():
        rename(after, before)
    op.drop_constraint(op.f("ck_contracts_billing_day_in_every_month"), "contracts", type_="check")
    op.drop_column("contracts", "billing_day")
