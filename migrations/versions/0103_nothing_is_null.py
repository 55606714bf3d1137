"""A JSON column that has nothing is null, and holds no null of JSON's own.

Rows that a session wrote with nothing in such a column got JSON's own null, others the null of SQL: whoever asked for
the rows with something had to know both.
"""

from alembic import op

revision = "0103"
down_revision = "0102"
branch_labels = None
depends_on = None

COLUMNS = {
    "jobs": ("pending_reason", "progress", "error"),
    "invoices": ("issuer", "buyer"),
    "invoice_lines": ("basis",),
}


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} = 'null'::jsonb")


def downgrade() -> None:
    """Leave them: null says the same."""
