"""An advance knows its invoice: who is refused for want of it is told which one to pay."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("grants", sa.Column("invoice_id", sa.String(), nullable=True))
    op.execute("UPDATE grants SET invoice_id = invoices.id FROM invoices WHERE invoices.grant_id = grants.id")


def downgrade() -> None:
    op.drop_column("grants", "invoice_id")
