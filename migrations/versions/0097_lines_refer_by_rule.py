"""A line's invoice and customer are held by rules of `broker ledger verify`.

Invoices and customers are never deleted, and whoever writes lines has just written their invoice, or locked it: so a
reference could only be broken by hand. Checking them took a third of what PostgreSQL needs to write the lines of a
month that is closed.
"""

from alembic import op

revision = "0097"
down_revision = "0096"
branch_labels = None
depends_on = None

REFERENCES = (("customer_id", "customers"), ("invoice_id", "invoices"))


def upgrade() -> None:
    for column, referred in REFERENCES:
        op.drop_constraint(op.f(f"fk_invoice_lines_{column}_{referred}"), "invoice_lines", type_="foreignkey")


def downgrade() -> None:
    for column, referred in REFERENCES:
        op.create_foreign_key(
            op.f(f"fk_invoice_lines_{column}_{referred}"), "invoice_lines", referred, [column], ["id"]
        )
