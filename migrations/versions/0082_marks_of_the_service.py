"""When cycles were planned and the books were verified last, for alarms; which protocol an agent speaks.

Agents of before speak the first one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0082"
down_revision = "0081"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_marks",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_by", sa.String(), nullable=False),
        sa.Column("takeovers", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_service_marks")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON service_marks TO broker_app")
    op.create_index("ix_runs_ended_at", "runs", ["ended_at"], postgresql_where=sa.text("ended_at IS NOT NULL"))
    op.add_column("agents", sa.Column("protocol", sa.BigInteger(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("agents", "protocol")
    op.drop_index("ix_runs_ended_at", "runs")
    op.drop_table("service_marks")
