"""What happens to contracts is recorded; of contracts signed before, the signing is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    create_events()
    op.execute("ALTER TABLE contract_events ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE contract_events FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON contract_events USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON contract_events TO {APP_ROLE}")
    record_signings()
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON contract_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def create_events() -> None:
    op.create_table(
        "contract_events",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("occasion", sa.String(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_contract_events_contract_id_id", "contract_events", ["contract_id", "id"])
    op.create_index(
        "uq_contract_events_occasion",
        "contract_events",
        ["contract_id", "kind", "occasion"],
        unique=True,
        postgresql_where=sa.text("occasion IS NOT NULL"),
    )


def record_signings() -> None:
    """Record the signing of each contract there is, under the contract's own place in the order of ids."""
    op.execute(
        """INSERT INTO contract_events (id, customer_id, contract_id, kind, occasion, data, created_at)
           SELECT 'coe' || substr(id, 4), customer_id, id, 'signed', NULL,
                  jsonb_build_object('plan', plan, 'committed_gpu_hours', committed_gpu_hours), created_at
           FROM contracts"""
    )


def downgrade() -> None:
    op.drop_table("contract_events")
