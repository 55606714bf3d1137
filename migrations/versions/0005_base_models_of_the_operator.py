"""Base models that an operator adds, with the tokenizers that their quotes are counted by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"


def upgrade() -> None:
    op.create_table(
        "base_models",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spelling", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("profile", JSONB(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("tokenizer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index(
        "uq_base_models_offered",
        "base_models",
        ["spelling"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.execute(f"GRANT SELECT, INSERT ON base_models TO {APP_ROLE}")
    op.execute(f"GRANT UPDATE (removed_at) ON base_models TO {APP_ROLE}")


def downgrade() -> None:
    op.drop_table("base_models")
