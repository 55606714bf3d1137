"""A job's data set, quote and queue, and an event's job, are held by rules of `broker ledger verify`.

None of them is ever deleted, and each is looked at, locked or copied from by the message that writes the job: so a
reference could only be broken by hand. Checking them took a tenth of what PostgreSQL needs for a submission, and each
transaction locked the row of its queue, which all have in common.
"""

from alembic import op

revision = "0094"
down_revision = "0093"
branch_labels = None
depends_on = None

REFERENCES = (
    ("jobs", "dataset_id", "datasets", "id"),
    ("jobs", "quote_id", "quotes", "id"),
    ("jobs", "queue", "queues", "name"),
    ("job_events", "job_id", "jobs", "id"),
)


def upgrade() -> None:
    for table, column, referred, _key in REFERENCES:
        op.drop_constraint(op.f(f"fk_{table}_{column}_{referred}"), table, type_="foreignkey")


def downgrade() -> None:
    for table, column, referred, key in REFERENCES:
        op.create_foreign_key(op.f(f"fk_{table}_{column}_{referred}"), table, referred, [column], [key])
