"""Orders of other services' clients are noted by their digest, so that one that is sent again is done once."""

import sqlalchemy as sa
from alembic import op

revision = "0116"
down_revision = "0115"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
IN_BATCH = (
    "current_setting('broker.scope', true) = 'tenants'"
    " AND customer_id = ANY (string_to_array(current_setting('broker.customer_id', true), ','))"
)


def upgrade() -> None:
    op.create_table(
        "sent_orders",
        sa.Column("principal", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "digest", name=op.f("pk_sent_orders")),
    )
    op.create_index(op.f("ix_sent_orders_created_at"), "sent_orders", ["created_at"])
    op.execute("ALTER TABLE sent_orders ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sent_orders FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON sent_orders USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"CREATE POLICY rows_of_batch ON sent_orders USING ({IN_BATCH}) WITH CHECK ({IN_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON sent_orders TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("sent_orders")
