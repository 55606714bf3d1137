"""The leader of the planning processes keeps the line in memory: what of a job it reads changed in which transaction.

A transaction's number is there before its commit, and no row of it is seen after: whoever has read all below the lowest
that was under way reads from there on, and misses nothing.
"""

from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None

# What the planner reads of a job, and nothing that heartbeats write.
READ = (
    "status",
    "contract_id",
    "queue",
    "gpus",
    "gpu_types",
    "prefer",
    "finish_by",
    "batch_id",
    "batch_at_once",
    "estimate",
    "remaining",
    "expedited_at",
    "priority",
    "created_at",
)


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN changed_in bigint")
    op.execute("CREATE INDEX ix_jobs_changed_in ON jobs (changed_in)")
    op.execute(
        "CREATE FUNCTION note_change_of_job() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.changed_in := pg_current_xact_id()::text::bigint; RETURN NEW; END $$"
    )
    op.execute("CREATE TRIGGER note_new_job BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION note_change_of_job()")
    old, new = (", ".join(f"{row}.{name}" for name in READ) for row in ("OLD", "NEW"))
    op.execute(
        f"CREATE TRIGGER note_change_of_job BEFORE UPDATE OF {', '.join(READ)} ON jobs FOR EACH ROW"
        f" WHEN (ROW({old}) IS DISTINCT FROM ROW({new})) EXECUTE FUNCTION note_change_of_job()"
    )
    op.execute(
        "CREATE TABLE planning_leaders (name varchar CONSTRAINT pk_planning_leaders PRIMARY KEY,"
        " process_id varchar NOT NULL, leads_until timestamptz NOT NULL)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON planning_leaders TO broker_app")


def downgrade() -> None:
    op.execute("DROP TABLE planning_leaders")
    op.execute("DROP TRIGGER note_change_of_job ON jobs")
    op.execute("DROP TRIGGER note_new_job ON jobs")
    op.execute("DROP FUNCTION note_change_of_job()")
    op.execute("DROP INDEX ix_jobs_changed_in")
    op.execute("ALTER TABLE jobs DROP COLUMN changed_in")
