"""What a GPU-hour of a pool costs the house, from a day on; and what reports of a month look for."""

import sqlalchemy as sa
from alembic import op

revision = "0091"
down_revision = "0090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pool_cost_rates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("per_gpu_hour_micros", sa.BigInteger(), nullable=False),
        sa.Column("begins_on", sa.Date(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("per_gpu_hour_micros >= 0", name=op.f("ck_pool_cost_rates_cost_not_negative")),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name=op.f("fk_pool_cost_rates_pool_pools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_cost_rates")),
    )
    op.create_index("ix_pool_cost_rates_pool", "pool_cost_rates", ["pool", "begins_on"])
    op.execute("GRANT SELECT, INSERT ON pool_cost_rates TO broker_app")
    op.create_index("ix_captures_borne", "captures", ["month"], postgresql_where=sa.text("borne"))


def downgrade() -> None:
    op.drop_index("ix_captures_borne", table_name="captures")
    op.drop_table("pool_cost_rates")
