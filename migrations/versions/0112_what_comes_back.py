"""A refund names the payment by which it came back; a chargeback may be of a credit; old steps at Stripe may go."""

import sqlalchemy as sa
from alembic import op

revision = "0112"
down_revision = "0111"
branch_labels = None
depends_on = None

CHECK = "ck_disputes_line_of_an_invoice"
KEY, INDEX = "fk_refunds_came_back_id_payments", "ix_refunds_came_back_id"


def upgrade() -> None:
    op.add_column("refunds", sa.Column("came_back_id", sa.String(), nullable=True))
    op.create_foreign_key(op.f(KEY), "refunds", "payments", ["came_back_id"], ["id"])
    op.create_index(op.f(INDEX), "refunds", ["came_back_id"])
    op.alter_column("disputes", "invoice_id", nullable=True)
    op.create_check_constraint(op.f(CHECK), "disputes", "kind = 'chargeback' OR invoice_id IS NOT NULL")
    op.execute("GRANT DELETE ON stripe_steps TO broker_app")


def downgrade() -> None:
    """Go back; refused where a chargeback is of a credit, or a refund came back by a payment: it would be forgotten."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM refunds WHERE came_back_id IS NOT NULL) THEN"
        " RAISE EXCEPTION 'refunds came back by payments, which an older release would book twice'; END IF; END $$"
    )
    op.execute("REVOKE DELETE ON stripe_steps FROM broker_app")
    op.drop_constraint(op.f(CHECK), "disputes", type_="check")
    op.alter_column("disputes", "invoice_id", nullable=False)
    op.drop_index(op.f(INDEX), "refunds")
    op.drop_column("refunds", "came_back_id")
