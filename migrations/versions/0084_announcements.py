"""Ops announces to customers what they should know, of a pool or of all."""

import sqlalchemy as sa
from alembic import op

revision = "0084"
down_revision = "0083"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("message_zh", sa.String(), nullable=True),
        sa.Column("pool", sa.String(), nullable=True),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["pool"], ["pools.name"], name=op.f("fk_announcements_pool_pools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON announcements TO broker_app")


def downgrade() -> None:
    op.drop_table("announcements")
