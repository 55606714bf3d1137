"""The cycle publishes when a job that came now would start, by priority and GPU type; quotes keep what it said then."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "start_forecasts",
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("p50", sa.DateTime(timezone=True), nullable=True),
        sa.Column("p90", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("priority", "sku", "gpus", name=op.f("pk_start_forecasts")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON start_forecasts TO broker_app")
    op.add_column("quotes", sa.Column("expected_starts", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("quotes", "expected_starts")
    op.drop_table("start_forecasts")
