"""Ops bounds stops of a pool's runs for that pool; a stop has its grace once, whoever goes on with it.

And usage that comes late changes what the planner knows of a job that waits.
"""

import sqlalchemy as sa
from alembic import op

revision = "0104"
down_revision = "0103"
branch_labels = None
depends_on = None

# What the planner reads of a job, and nothing that heartbeats write; its usage is read of those that wait alone.
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
USED = "used_gpu_seconds"


def upgrade() -> None:
    for name in ("least_run_seconds", "stops_per_hour"):
        op.add_column("pools", sa.Column(name, sa.BigInteger(), nullable=True))
    told = "least_run_seconds >= 0 AND stops_per_hour >= 0"
    op.create_check_constraint(op.f("ck_pools_stops_not_negative"), "pools", told)
    op.add_column("outbox", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True))
    used_late = f"(NEW.status = 'queued' AND OLD.{USED} IS DISTINCT FROM NEW.{USED})"
    tell_changes((*READ, USED), f"{has_changed()} OR {used_late}")


def downgrade() -> None:
    tell_changes(READ, has_changed())
    op.drop_column("outbox", "begun_at")
    op.drop_constraint(op.f("ck_pools_stops_not_negative"), "pools")
    for name in ("least_run_seconds", "stops_per_hour"):
        op.drop_column("pools", name)


def has_changed() -> str:
    old, new = (", ".join(f"{row}.{name}" for name in READ) for row in ("OLD", "NEW"))
    return f"ROW({old}) IS DISTINCT FROM ROW({new})"


def tell_changes(columns: tuple[str, ...], condition: str) -> None:
    op.execute("DROP TRIGGER note_change_of_job ON jobs")
    op.execute(
        f"CREATE TRIGGER note_change_of_job BEFORE UPDATE OF {', '.join(columns)} ON jobs FOR EACH ROW"
        f" WHEN ({condition}) EXECUTE FUNCTION note_change_of_job()"
    )
