"""Rules of retention that ops sets: each goes before the setting of its name."""

import sqlalchemy as sa
from alembic import op

revision = "0130"
down_revision = "0129"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"


def upgrade() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_retention_rules"),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON retention_rules TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("retention_rules")
