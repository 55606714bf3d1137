"""Accounts of money and of the house; what is borne has accounts by its cause; lines that bill no meter."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

LEDGER = ("ledger_accounts", "ledger_transfers")
OF_NO_METER = ("meter", "quantity", "unit_price", "rate_card_version")
KEY = ["contract_id", "unit", "kind", "grant_id", "month"]


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    for table in (*LEDGER, "ledger_entries"):
        op.alter_column(table, "customer_id", nullable=True)
    for table in LEDGER:
        op.alter_column(table, "contract_id", nullable=True)
    op.add_column("ledger_accounts", sa.Column("cause", sa.String(), nullable=True))
    op.execute("UPDATE ledger_accounts SET cause = 'over_promise' WHERE kind = 'borne'")
    op.add_column("ledger_accounts", sa.Column("may_go_positive", sa.Boolean(), nullable=False, server_default="true"))
    op.alter_column("ledger_accounts", "may_go_positive", server_default=None)
    op.create_check_constraint(
        op.f("ck_ledger_accounts_not_overspent"), "ledger_accounts", "balance <= 0 OR may_go_positive"
    )
    make_unique([*KEY, "cause"], instead_of=KEY)
    for column in OF_NO_METER:
        op.alter_column("invoice_lines", column, nullable=True)


def make_unique(columns: list[str], *, instead_of: list[str]) -> None:
    name = "uq_ledger_accounts_"
    op.drop_constraint(op.f(name + "_".join(instead_of)), "ledger_accounts", type_="unique")
    op.create_unique_constraint(
        op.f(name + "_".join(columns)), "ledger_accounts", columns, postgresql_nulls_not_distinct=True
    )


def downgrade() -> None:
    """Go back to accounts of contracts alone; refused where there are others, which an older release cannot read."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    for column in OF_NO_METER:
        op.alter_column("invoice_lines", column, nullable=False)
    make_unique(KEY, instead_of=[*KEY, "cause"])
    op.drop_constraint(op.f("ck_ledger_accounts_not_overspent"), "ledger_accounts", type_="check")
    op.drop_column("ledger_accounts", "may_go_positive")
    op.drop_column("ledger_accounts", "cause")
    for table in LEDGER:
        op.alter_column(table, "contract_id", nullable=False)
    for table in (*LEDGER, "ledger_entries"):
        op.alter_column(table, "customer_id", nullable=False)
