"""What is due to one endpoint is found without what is due to others: a backlog of one costs no other a look."""

from alembic import op

revision = "0124"
down_revision = "0123"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_webhook_deliveries_due_to ON webhook_deliveries (endpoint_id, not_before, id)"
        " WHERE status = 'pending'"
    )
    # What was due to endpoints that were removed is sent to nobody any more.
    op.execute(
        "UPDATE webhook_deliveries d SET status = 'failed', ended_at = e.removed_at FROM webhook_endpoints e"
        " WHERE e.id = d.endpoint_id AND e.removed_at IS NOT NULL AND d.status = 'pending'"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_webhook_deliveries_due_to")
