"""Lines of final invoices know what credit notes have given back of them: corrections give back the rest alone."""

from alembic import op

revision = "0138"
down_revision = "0137"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    for table in ("rate_lines", "rate_corrections"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN credited_micros bigint NOT NULL DEFAULT 0")
    op.execute(
        """
        UPDATE rate_lines l SET credited_micros = x.micros
        FROM (
            SELECT n.job_id, i.month, coalesce(n.used_month, i.month) AS used_month, n.meter, n.unit_price,
                   sum(c.amount_micros) AS micros
            FROM credit_note_lines c
            JOIN invoice_lines n ON n.id = c.invoice_line_id
            JOIN invoices i ON i.id = n.invoice_id
            WHERE i.kind = 'usage' AND n.kind IN ('usage', 'correction') AND n.quantity > 0
              AND NOT EXISTS (
                  SELECT FROM invoice_lines a
                  WHERE a.invoice_id = n.invoice_id AND a.position = n.position + 1 AND a.kind = 'advance')
            GROUP BY 1, 2, 3, 4, 5
        ) x
        WHERE l.billable AND (l.job_id, l.month, l.used_month, l.unit, l.unit_price)
            = (x.job_id, x.month, x.used_month, x.meter, x.unit_price)
        """
    )


def downgrade() -> None:
    for table in ("rate_corrections", "rate_lines"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN credited_micros")
