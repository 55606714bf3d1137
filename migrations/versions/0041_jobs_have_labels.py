"""A job has labels; the sums of usage are known by the digest of theirs, which an index always has room for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

KEY = ("hour", "contract_id", "project_id", "job_id", "source", "gpu_type")


def upgrade() -> None:
    none = sa.text("'{}'")
    op.add_column("jobs", sa.Column("labels", postgresql.JSONB(), nullable=False, server_default=none))
    op.alter_column("jobs", "labels", server_default=None)
    digest = sa.Computed("(md5(labels::text))::uuid", persisted=True)
    op.add_column("usage_rollups", sa.Column("labels_digest", sa.Uuid(), digest, nullable=False))
    replace_key("labels_digest")


def replace_key(last: str) -> None:
    op.drop_constraint(op.f("pk_usage_rollups"), "usage_rollups", type_="primary")
    op.create_primary_key(op.f("pk_usage_rollups"), "usage_rollups", [*KEY, last])


def downgrade() -> None:
    replace_key("labels")
    op.drop_column("usage_rollups", "labels_digest")
    op.drop_column("jobs", "labels")
