"""A customer that a process of before has made is unverified: while an upgrade rolls, both kinds make some."""

from alembic import op

revision = "0125"
down_revision = "0124"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE customers ALTER COLUMN verification SET DEFAULT 'unverified'")


def downgrade() -> None:
    op.execute("ALTER TABLE customers ALTER COLUMN verification DROP DEFAULT")
