"""Queues are tuned: a weight, how long a job waits at most, how much runs at one time, on which pools.

Queues of before go on as they were: all of one weight, without limits.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

LIMITS = ("max_wait_seconds", "max_jobs", "max_gpus")


def upgrade() -> None:
    op.add_column("queues", sa.Column("weight", sa.BigInteger(), nullable=False, server_default="100"))
    op.alter_column("queues", "weight", server_default=None)
    op.create_check_constraint(op.f("ck_queues_weight_positive"), "queues", "weight > 0")
    for name in LIMITS:
        op.add_column("queues", sa.Column(name, sa.BigInteger(), nullable=True))
        op.create_check_constraint(op.f(f"ck_queues_{name}_positive"), "queues", f"{name} > 0")
    op.add_column("queues", sa.Column("allowed_pools", postgresql.ARRAY(sa.Text()), nullable=True))


def downgrade() -> None:
    for name in ("weight", *LIMITS, "allowed_pools"):
        op.drop_column("queues", name)
