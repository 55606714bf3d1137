"""Versions of a data set share the pictures of their upload, and how many bytes a customer may store."""

from alembic import op

revision = "0135"
down_revision = "0134"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE datasets
            ADD COLUMN base_key varchar, ADD COLUMN own_bytes bigint, ADD COLUMN own_sha256 varchar
        """
    )
    op.execute("ALTER TABLE customers ADD COLUMN storage_limit_bytes bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE customers DROP COLUMN storage_limit_bytes")
    op.execute("ALTER TABLE datasets DROP COLUMN own_sha256, DROP COLUMN own_bytes, DROP COLUMN base_key")
