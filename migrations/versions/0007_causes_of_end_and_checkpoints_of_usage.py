"""A run's end has a cause, and an interval of usage says at which checkpoint it ends.

Runs that ended before get the cause that their job's records tell, or the nearest that is known of such an end.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# As `broker.jobs.model.decide_cause` decides it today. What a run was told to stop for is the last `stop_requested`
# that came before its end; only the error of a job's last run is known.
NAME_CAUSES = """
    UPDATE runs SET cause = CASE
        WHEN runs.status = 'succeeded' THEN 'succeeded'
        WHEN known.stop = 'cancel' THEN 'cancelled'
        WHEN known.stop IS NOT NULL AND (runs.status IN ('stopped', 'preempted') OR runs.claimed_at IS NULL)
            THEN CASE known.stop WHEN 'pause' THEN 'paused' ELSE known.stop END
        WHEN runs.status = 'preempted' THEN 'preempted'
        WHEN runs.status = 'lost' THEN CASE WHEN runs.claimed_at IS NULL THEN 'launch_failed' ELSE 'machine_lost' END
        WHEN known.code IN ('bad_config', 'bad_input', 'checkpoint_unusable', 'out_of_memory', 'loss_not_finite',
                            'broker_refused') THEN known.code
        ELSE 'internal_error' END
    FROM (
        SELECT run.id,
            (SELECT stop.data ->> 'reason' FROM job_events stop
             WHERE stop.job_id = run.job_id AND stop.kind = 'stop_requested'
                AND stop.id > (SELECT max(began.id) FROM job_events began WHERE began.job_id = run.job_id
                               AND began.kind = 'dispatched' AND began.data ->> 'run_id' = run.id)
                AND stop.id < (SELECT max(ended.id) FROM job_events ended WHERE ended.job_id = run.job_id
                               AND ended.kind = 'run_' || run.status AND ended.data ->> 'run_id' = run.id)
             ORDER BY stop.id DESC LIMIT 1) AS stop,
            CASE WHEN run.attempt = job.attempts THEN job.error ->> 'code' END AS code
        FROM runs run JOIN jobs job ON job.id = run.job_id
    ) known
    WHERE known.id = runs.id AND runs.status NOT IN ('starting', 'running')
"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("usage_events", sa.Column("checkpoint_step", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("cause", sa.String(), nullable=True))
    op.execute(NAME_CAUSES)
    op.create_check_constraint(
        op.f("ck_runs_ended_for_a_cause"), "runs", "(status IN ('starting', 'running')) = (cause IS NULL)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_runs_ended_for_a_cause"), "runs")
    op.drop_column("runs", "cause")
    op.drop_column("usage_events", "checkpoint_step")
