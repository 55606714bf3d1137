"""A data set's report counts every row by what became of it: used, refused and why, set aside.

Of those uploaded before, the reasons are not known any more: the findings that are errors are the rows refused.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0114"
down_revision = "0113"
branch_labels = None
depends_on = None

COUNTED_BEFORE = """
UPDATE datasets SET row_counts = jsonb_build_object(
    'read', usable_rows + COALESCE((finding_counts ->> 'error')::bigint, 0),
    'refused', CASE WHEN COALESCE((finding_counts ->> 'error')::bigint, 0) > 0
        THEN jsonb_build_array(jsonb_build_array('see the findings', (finding_counts ->> 'error')::bigint))
        ELSE '[]'::jsonb END,
    'set_aside', 0)
"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("datasets", sa.Column("row_counts", postgresql.JSONB(), nullable=True))
    op.execute(COUNTED_BEFORE)
    op.alter_column("datasets", "row_counts", nullable=False)


def downgrade() -> None:
    op.drop_column("datasets", "row_counts")
