"""Invoices tell contract number and purchase order; their lines project, list price, grants and overage.

Invoices of before get the number and the order that their contract has now; their lines do not tell the rest.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL broker.scope TO 'all'")
    op.add_column("invoices", sa.Column("contract_number", sa.String(), nullable=True))
    op.add_column("invoices", sa.Column("purchase_order", sa.String(), nullable=True))
    op.execute(
        "UPDATE invoices i SET contract_number = c.contract_number, purchase_order = c.purchase_order"
        " FROM contracts c WHERE c.id = i.contract_id"
    )
    op.alter_column("invoices", "contract_number", nullable=False)
    op.create_index(op.f("ix_invoices_contract_number"), "invoices", ["contract_number"])
    op.add_column("invoice_lines", sa.Column("project_id", sa.String(), nullable=True))
    op.add_column("invoice_lines", sa.Column("list_price", sa.Numeric(24, 12), nullable=True))
    op.add_column("invoice_lines", sa.Column("list_amount_micros", sa.BigInteger(), nullable=True))
    grants = sa.Column("grants", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    op.add_column("invoice_lines", grants)
    op.add_column("invoice_lines", sa.Column("overage", sa.BigInteger(), nullable=False, server_default="0"))
    for name in ("grants", "overage"):
        op.alter_column("invoice_lines", name, server_default=None)


def downgrade() -> None:
    """Go back to lines that tell what they charge alone: those of what the house bears charge nothing, and go."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute("DELETE FROM invoice_lines WHERE kind = 'borne'")
    for name in ("overage", "grants", "list_amount_micros", "list_price", "project_id"):
        op.drop_column("invoice_lines", name)
    for name in ("purchase_order", "contract_number"):
        op.drop_column("invoices", name)
