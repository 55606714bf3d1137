"""Lines of invoices tell what they rest on; final invoices who issued them, and to whom.

Those of before do not tell: their documents name the issuer and the customer of today.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoice_lines", sa.Column("basis", postgresql.JSONB(), nullable=True))
    for name in ("issuer", "buyer"):
        op.add_column("invoices", sa.Column(name, postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    for name in ("buyer", "issuer"):
        op.drop_column("invoices", name)
    op.drop_column("invoice_lines", "basis")
