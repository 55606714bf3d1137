"""A correction may charge more of intervals that are charged already: its captures name it."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

INDEX = "uq_captures_run_id_first_sequence_leg_id"


def upgrade() -> None:
    op.add_column("captures", sa.Column("added_by", sa.String(), nullable=True))
    replace_index(["added_by"], nulls_not_distinct=True)


def replace_index(more: list[str], *, nulls_not_distinct: bool) -> None:
    op.drop_index(INDEX, "captures")
    op.create_index(
        INDEX,
        "captures",
        ["run_id", "first_sequence", "leg_id", *more],
        unique=True,
        postgresql_where=sa.text("corrects_id IS NULL"),
        postgresql_nulls_not_distinct=nulls_not_distinct,
    )


def downgrade() -> None:
    """Go back to charges that only shrink; refused once a correction has charged more."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM captures WHERE added_by IS NOT NULL) THEN
               RAISE EXCEPTION 'usage was corrected upward, which an older release cannot read';
           END IF; END $$"""
    )
    replace_index([], nulls_not_distinct=False)
    op.drop_column("captures", "added_by")
