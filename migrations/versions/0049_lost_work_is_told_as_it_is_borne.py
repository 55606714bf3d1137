"""Records of lost work follow corrections of its intervals: what earlier ones took back is recorded beside."""

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

# What captures bear of a run's lost work for a cause, less what is told of it: told of the step that came last.
FOLLOW_CORRECTIONS = """
    INSERT INTO lost_work (customer_id, job_id, run_id, cause, after_step, gpu_seconds, tokens, created_at)
    SELECT l.customer_id, l.job_id, l.run_id, l.cause, l.after_step,
           coalesce(b.gpu_seconds, 0) - t.gpu_seconds, coalesce(b.tokens, 0) - t.tokens, now()
    FROM (SELECT run_id, cause, max(id) AS last, sum(gpu_seconds)::bigint AS gpu_seconds, sum(tokens)::bigint AS tokens
          FROM lost_work GROUP BY 1, 2) t
    JOIN lost_work l ON l.id = t.last
    LEFT JOIN (SELECT run_id, cause,
                      coalesce(sum(quantity) FILTER (WHERE unit = 'gpu_seconds'), 0)::bigint AS gpu_seconds,
                      coalesce(sum(quantity) FILTER (WHERE unit = 'tokens'), 0)::bigint AS tokens
               FROM captures WHERE borne GROUP BY 1, 2) b ON b.run_id = t.run_id AND b.cause = t.cause
    WHERE coalesce(b.gpu_seconds, 0) <> t.gpu_seconds OR coalesce(b.tokens, 0) <> t.tokens"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(FOLLOW_CORRECTIONS)


def downgrade() -> None:
    """Leave the records: an earlier release reads their sums, too."""
