"""An entry names the account that is debited and the one that is credited: a transfer cannot be out of balance.

What left and what arrived in each old transfer is paired in its order; no balance changes, or nothing is migrated.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
# Each side of a transfer in its order, with where its amount begins and ends among all of that side.
PAIR = """
    CREATE TEMPORARY TABLE carried ON COMMIT DROP AS
    WITH sums AS (
        SELECT transfer_id, unit, account_id, min(customer_id) AS customer_id, min(id) AS place, sum(amount) AS amount
        FROM ledger_entries GROUP BY 1, 2, 3
    ), sides AS (
        SELECT *, sum(abs(amount)) OVER (PARTITION BY transfer_id, unit, amount > 0 ORDER BY place) AS upto
        FROM sums WHERE amount <> 0
    )
    SELECT d.customer_id, d.transfer_id, d.account_id AS debit_account_id, c.account_id AS credit_account_id, d.unit,
           least(d.upto, c.upto) - greatest(d.upto - d.amount, c.upto + c.amount) AS amount,
           least(d.place, c.place) AS place
    FROM sides d JOIN sides c USING (transfer_id, unit)
    WHERE d.amount > 0 AND c.amount < 0 AND least(d.upto, c.upto) > greatest(d.upto - d.amount, c.upto + c.amount)
"""
PART = """
    CREATE TEMPORARY TABLE carried ON COMMIT DROP AS
    SELECT min(customer_id) AS customer_id, transfer_id, account_id, unit, sum(amount) AS amount, min(place) AS place
    FROM (SELECT customer_id, transfer_id, credit_account_id AS account_id, unit, -amount AS amount, 2 * id AS place
          FROM ledger_entries
          UNION ALL
          SELECT customer_id, transfer_id, debit_account_id, unit, amount, 2 * id + 1 FROM ledger_entries) sides
    GROUP BY transfer_id, account_id, unit HAVING sum(amount) <> 0
"""
CHECK_BALANCES = """
    DO $$ BEGIN IF EXISTS (
        SELECT FROM ledger_accounts a LEFT JOIN (
            SELECT debit_account_id AS id, amount FROM ledger_entries
            UNION ALL SELECT credit_account_id, -amount FROM ledger_entries
        ) e ON e.id = a.id GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0)
    ) THEN
        RAISE EXCEPTION 'the ledger is out of balance: run `broker ledger verify` of the release before this one';
    END IF; END $$
"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(PAIR)
    op.drop_table("ledger_entries")
    create_entries(["debit_account_id", "credit_account_id"])
    op.create_check_constraint(op.f("ck_ledger_entries_amount_positive"), "ledger_entries", "amount > 0")
    op.create_check_constraint(
        op.f("ck_ledger_entries_two_accounts"), "ledger_entries", "debit_account_id <> credit_account_id"
    )
    fill("customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount")
    op.execute(CHECK_BALANCES)


def create_entries(accounts: list[str]) -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("transfer_id", sa.String(), nullable=False),
        *[sa.Column(account, sa.String(), nullable=False) for account in accounts],
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        *[
            sa.ForeignKeyConstraint(
                [account], ["ledger_accounts.id"], name=op.f(f"fk_ledger_entries_{account}_ledger_accounts")
            )
            for account in accounts
        ],
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_ledger_entries_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["ledger_transfers.id"], name=op.f("fk_ledger_entries_transfer_id_ledger_transfers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
    )
    for column in (*accounts, "transfer_id"):
        op.create_index(op.f(f"ix_ledger_entries_{column}"), "ledger_entries", [column], unique=False)
    op.execute("ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON ledger_entries USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON ledger_entries TO {APP_ROLE}")
    op.execute(f"GRANT USAGE ON SEQUENCE ledger_entries_id_seq TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def fill(columns: str) -> None:
    op.execute(f"INSERT INTO ledger_entries ({columns}) SELECT {columns} FROM carried ORDER BY place")
    op.drop_table("carried")


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(PART)
    op.drop_table("ledger_entries")
    create_entries(["account_id"])
    fill("customer_id, transfer_id, account_id, unit, amount")
