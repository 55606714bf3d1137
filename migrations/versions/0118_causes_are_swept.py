"""For what jobs waited is swept by age: it may be deleted, and is changed by nobody still."""

from alembic import op

revision = "0118"
down_revision = "0117"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"


def upgrade() -> None:
    _refuse("UPDATE OR TRUNCATE")
    op.execute(f"GRANT DELETE ON wait_causes TO {APP_ROLE}")


def downgrade() -> None:
    op.execute(f"REVOKE DELETE ON wait_causes FROM {APP_ROLE}")
    _refuse("UPDATE OR DELETE OR TRUNCATE")


def _refuse(changes: str) -> None:
    op.execute("DROP TRIGGER refuse_change ON wait_causes")
    op.execute(
        f"CREATE TRIGGER refuse_change BEFORE {changes} ON wait_causes"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
