"""Invoices are on the books: their tax, what was credited and paid of them, and the postings of those of before.

What an old invoice asked for is booked when it was finalized, what was paid when it was paid. What advances had earned
until now is booked in one transfer for each grant: what is not earned of it stays deferred.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

SUMS = ("tax_micros", "credited_micros", "written_off_micros", "paid_micros")
MONEY_KINDS = (
    "('receivable', 'cash', 'deferred_revenue', 'revenue', 'tax', 'refunds', 'customer_credit', 'unmatched_receipts',"
    " 'breakage', 'gift_costs', 'rounding', 'bad_debt')"
)
# Each move from the account that is credited to the one that is debited; below zero it goes the other way.
OLD_MOVES = """
    CREATE TEMPORARY TABLE moves ON COMMIT DROP AS
    WITH advances AS (
        SELECT g.id, g.contract_id, g.customer_id, i.total_micros, g.quantity, g.unit_price,
               CASE g.unit WHEN 'gpu_seconds' THEN 3600 ELSE 1 END AS per,
               greatest(0, coalesce(a.balance, 0) + coalesce(l.held, 0) + coalesce(c.captured, 0)) AS unearned
        FROM grants g JOIN invoices i ON i.grant_id = g.id AND i.kind = 'advance' AND i.status = 'paid'
        LEFT JOIN ledger_accounts a ON a.grant_id = g.id AND a.kind = 'granted'
        LEFT JOIN (SELECT grant_id, sum(held - captured - released) AS held FROM hold_legs GROUP BY 1) l
            ON l.grant_id = g.id
        LEFT JOIN (
            SELECT c.grant_id, sum(c.quantity) AS captured FROM captures c
            WHERE NOT c.borne AND NOT EXISTS (
                SELECT FROM closed_months m WHERE m.contract_id = c.contract_id AND m.month = c.month)
            GROUP BY 1
        ) c ON c.grant_id = g.id
        WHERE g.advance
    ), earned AS (
        SELECT id, contract_id, customer_id,
               total_micros - round(unearned * unit_price * 100 / per) * 10000 AS micros
        FROM advances
    ), taken_off AS (
        SELECT i.contract_id, i.customer_id, -sum(l.amount_micros) AS micros
        FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
        WHERE i.status <> 'draft' AND l.kind = 'advance' GROUP BY 1, 2
    )
    SELECT 'advance_invoiced' AS kind, id AS reference, finalized_at AS moment, contract_id, customer_id,
           'deferred_revenue' AS credit, 'receivable' AS debit, grant_id, total_micros::bigint AS micros
    FROM invoices WHERE status <> 'draft' AND kind = 'advance'
    UNION ALL
    SELECT 'usage_invoiced', id, finalized_at, contract_id, customer_id, 'revenue', 'receivable', NULL, total_micros
    FROM invoices WHERE status <> 'draft' AND kind = 'usage'
    UNION ALL
    SELECT 'payment_received', id, paid_at, contract_id, customer_id, 'receivable', 'cash', NULL, total_micros
    FROM invoices WHERE status = 'paid'
    UNION ALL
    SELECT 'advance_earned', id, now(), contract_id, customer_id, 'revenue', 'deferred_revenue', id, micros::bigint
    FROM earned
    UNION ALL
    SELECT 'rounded', t.contract_id, now(), t.contract_id, t.customer_id, 'revenue', 'rounding', NULL,
           (t.micros - coalesce(e.micros, 0))::bigint
    FROM taken_off t LEFT JOIN (SELECT contract_id, sum(micros) AS micros FROM earned GROUP BY 1) e
        ON e.contract_id = t.contract_id
"""
STRAIGHTEN = """
    UPDATE moves SET credit = debit, debit = credit, micros = -micros WHERE micros < 0
"""
NAME_ACCOUNTS = """
    CREATE TEMPORARY TABLE sides ON COMMIT DROP AS
    SELECT s.*, 'acc_' || md5(concat_ws('/', contract_id, kind, grant_id)) AS account_id
    FROM (SELECT kind || '/' || reference AS transfer, contract_id, customer_id, credit AS kind,
                 CASE credit WHEN 'deferred_revenue' THEN grant_id END AS grant_id, -micros AS amount FROM moves
          UNION ALL
          SELECT kind || '/' || reference, contract_id, customer_id, debit,
                 CASE debit WHEN 'deferred_revenue' THEN grant_id END, micros FROM moves) s
"""
BOOK = (
    """INSERT INTO ledger_accounts
           (id, customer_id, contract_id, unit, kind, grant_id, may_go_negative, may_go_positive, balance)
       SELECT account_id, min(customer_id), min(contract_id), 'micro_yuan', min(kind), min(grant_id),
              min(kind) <> 'receivable', min(kind) <> 'deferred_revenue', sum(amount)
       FROM sides GROUP BY account_id""",
    """INSERT INTO ledger_transfers (id, customer_id, contract_id, kind, reference, created_at)
       SELECT 'tra_' || md5(kind || '/' || reference), customer_id, contract_id, kind, reference, moment
       FROM moves ORDER BY moment, kind, reference""",
    """INSERT INTO ledger_entries (customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount)
       SELECT d.customer_id, 'tra_' || md5(d.transfer), d.account_id, c.account_id, 'micro_yuan', d.amount
       FROM sides d JOIN sides c USING (transfer) WHERE d.amount > 0 AND c.amount < 0 ORDER BY d.transfer""",
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    add_tax("contracts")
    op.create_check_constraint(
        op.f("ck_contracts_tax_has_a_rate"), "contracts", "(tax_mode = 'none') = (tax_rate IS NULL)"
    )
    add_tax("invoices")
    for column in SUMS:
        op.add_column("invoices", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column("invoices", column, server_default=None)
    op.execute("UPDATE invoices SET paid_micros = total_micros WHERE status = 'paid'")
    for statement in (OLD_MOVES, "DELETE FROM moves WHERE micros = 0", STRAIGHTEN, NAME_ACCOUNTS, *BOOK):
        op.execute(statement)
    for table in ("moves", "sides"):
        op.drop_table(table)


def add_tax(table: str) -> None:
    op.add_column(table, sa.Column("tax_mode", sa.String(), nullable=False, server_default="none"))
    op.alter_column(table, "tax_mode", server_default=None)
    op.add_column(table, sa.Column("tax_rate", sa.Numeric(precision=6, scale=4), nullable=True))


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    forget_money()
    for column in (*SUMS, "tax_rate", "tax_mode"):
        op.drop_column("invoices", column)
    op.drop_constraint(op.f("ck_contracts_tax_has_a_rate"), "contracts", type_="check")
    for column in ("tax_rate", "tax_mode"):
        op.drop_column("contracts", column)


def forget_money() -> None:
    """Take the accounts of money off the books again, with all that was posted between them."""
    own = f"(SELECT id FROM ledger_accounts WHERE kind IN {MONEY_KINDS})"
    records = ("ledger_entries", "ledger_transfers")
    for table in records:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
    op.execute(
        f"""CREATE TEMPORARY TABLE forgotten ON COMMIT DROP AS
            SELECT DISTINCT transfer_id AS id FROM ledger_entries WHERE debit_account_id IN {own}"""
    )
    op.execute("DELETE FROM ledger_entries WHERE transfer_id IN (SELECT id FROM forgotten)")
    op.execute("DELETE FROM ledger_transfers WHERE id IN (SELECT id FROM forgotten)")
    op.execute(f"DELETE FROM ledger_accounts WHERE kind IN {MONEY_KINDS}")
    for table in records:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER refuse_change")
