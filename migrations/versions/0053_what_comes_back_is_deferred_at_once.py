"""What open months have taken back of closed ones is deferred again, as it is at once today.

It was the next invoice that did so: hours that came back, and are over before that, would be earned as rounding.
"""

from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

# Micro-yuan to the fen, of grants that an invoice has paid for, in contracts with something taken back. Units that open
# months take back of closed ones are free again already; the others that these months captured are not earned.
FIND = """
    CREATE TEMPORARY TABLE came_back ON COMMIT DROP AS
    WITH taken_back AS (
        SELECT c.contract_id, max(c.month) AS month
        FROM captures c JOIN captures o ON o.id = c.corrects_id AND o.month <> c.month
        WHERE c.grant_id IS NOT NULL AND NOT c.borne AND NOT EXISTS (
            SELECT FROM closed_months m WHERE m.contract_id = c.contract_id AND m.month = c.month)
        GROUP BY 1
    ), counted AS (
        SELECT g.id, g.contract_id, g.customer_id, t.month, i.tax_mode, coalesce(i.tax_rate, 0) AS rate,
               round(greatest(0, u.units) * g.unit_price * 100
                   / CASE g.unit WHEN 'gpu_seconds' THEN 3600 ELSE 1 END) AS fen
        FROM taken_back t
        JOIN grants g ON g.contract_id = t.contract_id AND g.advance AND g.activated_at IS NOT NULL
        JOIN invoices i ON i.id = g.invoice_id AND i.status <> 'void'
        CROSS JOIN LATERAL (SELECT
            coalesce((SELECT sum(a.balance) FROM ledger_accounts a WHERE a.grant_id = g.id AND a.kind = 'granted'), 0)
            + coalesce((SELECT sum(l.held - l.captured - l.released) FROM hold_legs l WHERE l.grant_id = g.id), 0)
            + coalesce((
                SELECT sum(c.quantity) FROM captures c
                WHERE c.grant_id = g.id AND NOT c.borne
                    AND NOT EXISTS (
                        SELECT FROM closed_months m WHERE m.contract_id = c.contract_id AND m.month = c.month)
                    AND NOT EXISTS (
                        SELECT FROM captures o WHERE o.id = c.corrects_id AND o.month <> c.month)
            ), 0) AS units) u
    ), priced AS (
        SELECT c.*, 10000 * (
            c.fen - CASE c.tax_mode WHEN 'included' THEN round(c.fen * c.rate / (1 + c.rate)) ELSE 0 END) AS micros
        FROM counted c
    )
    SELECT 'tra_' || substr(p.id, 5) AS id, p.contract_id, p.customer_id, p.month,
           d.id AS deferred_id, r.id AS revenue_id, (p.micros + d.balance)::bigint AS amount
    FROM priced p
    JOIN ledger_accounts d ON d.grant_id = p.id AND d.kind = 'deferred_revenue'
    JOIN ledger_accounts r ON r.contract_id = p.contract_id AND r.kind = 'revenue'
    WHERE p.micros + d.balance > 0"""
BOOK = (
    """INSERT INTO ledger_transfers (id, contract_id, customer_id, kind, reference, created_at)
       SELECT id, contract_id, customer_id, 'advance_returned', month, now() FROM came_back""",
    """INSERT INTO ledger_entries (customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount)
       SELECT customer_id, id, revenue_id, deferred_id, 'micro_yuan', amount FROM came_back""",
    "UPDATE ledger_accounts a SET balance = balance - c.amount FROM came_back c WHERE a.id = c.deferred_id",
    """UPDATE ledger_accounts a SET balance = balance + c.amount
       FROM (SELECT revenue_id, sum(amount) AS amount FROM came_back GROUP BY 1) c WHERE a.id = c.revenue_id""",
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(FIND)
    for statement in BOOK:
        op.execute(statement)
    op.execute("DROP TABLE came_back")


def downgrade() -> None:
    """Leave the transfers: an earlier release earns and defers what differs from the price of what is left."""
