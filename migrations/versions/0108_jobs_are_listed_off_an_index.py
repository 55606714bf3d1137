"""Lists of a customer's jobs are read off an index alone: it has the name, the project and what a job cost in the end.

A job is a row of thousands of bytes, and there are as many as a customer has ever submitted. Its cost is written at
every heartbeat, which would have to write to each index then; what it was at the end is written once, by the database.
"""

import sqlalchemy as sa
from alembic import op

revision = "0108"
down_revision = "0107"
branch_labels = None
depends_on = None

NAME, KEYS = "ix_jobs_customer_status", ["customer_id", "status", "id"]
INCLUDED = ["name", "project_id", "ended_cost_micros"]
ENDED = "('succeeded', 'failed', 'cancelled')"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("ended_cost_micros", sa.BigInteger, nullable=True))
    op.execute(f"UPDATE jobs SET ended_cost_micros = cost_micros WHERE status IN {ENDED}")
    op.execute(
        "CREATE FUNCTION note_cost_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.ended_cost_micros := NEW.cost_micros; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER note_cost_of_ended_job BEFORE INSERT OR UPDATE OF status, cost_micros ON jobs FOR EACH ROW"
        f" WHEN (NEW.status IN {ENDED}) EXECUTE FUNCTION note_cost_of_ended_job()"
    )
    op.drop_index(NAME, "jobs")
    op.create_index(NAME, "jobs", KEYS, postgresql_include=INCLUDED)


def downgrade() -> None:
    op.drop_index(NAME, "jobs")
    op.create_index(NAME, "jobs", KEYS)
    op.execute("DROP TRIGGER note_cost_of_ended_job ON jobs")
    op.execute("DROP FUNCTION note_cost_of_ended_job()")
    op.drop_column("jobs", "ended_cost_micros")
