"""Usage events are corrected by events of the difference, and what is in quarantine gets a decision."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
NOT_NEGATIVE = "gpu_seconds >= 0 AND tokens >= 0"


def upgrade() -> None:
    op.add_column("usage_events", sa.Column("corrects", sa.String(), nullable=True))
    replace_check(f"corrects IS NOT NULL OR ({NOT_NEGATIVE})")
    op.create_table(
        "quarantine_decisions",
        sa.Column("quarantine_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine_decisions")),
        sa.ForeignKeyConstraint(
            ["quarantine_id"],
            ["quarantined_usage.id"],
            name=op.f("fk_quarantine_decisions_quarantine_id_quarantined_usage"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_quarantine_decisions_customer_id_customers")
        ),
    )
    op.execute("ALTER TABLE quarantine_decisions ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE quarantine_decisions FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON quarantine_decisions USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON quarantine_decisions TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON quarantine_decisions"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def replace_check(condition: str) -> None:
    op.drop_constraint(op.f("ck_usage_events_not_negative"), "usage_events", type_="check")
    op.create_check_constraint(op.f("ck_usage_events_not_negative"), "usage_events", condition)


def downgrade() -> None:
    """Go back to events that nothing corrects; refused once there are corrections or decisions."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM usage_events WHERE corrects IS NOT NULL)
                          OR EXISTS (SELECT FROM quarantine_decisions) THEN
               RAISE EXCEPTION 'usage was corrected or decided upon, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_table("quarantine_decisions")
    replace_check(NOT_NEGATIVE)
    op.drop_column("usage_events", "corrects")
