"""A line of an invoice says which month its usage is of."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("invoice_lines", sa.Column("used_month", sa.String(), nullable=True))
    op.execute("UPDATE invoice_lines l SET used_month = i.month FROM invoices i WHERE i.id = l.invoice_id")


def downgrade() -> None:
    op.drop_column("invoice_lines", "used_month")
