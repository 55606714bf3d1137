"""A data set may be a version of another: the same pictures with other captions, made by an edit or by a job."""

from alembic import op

revision = "0127"
down_revision = "0126"
branch_labels = None
depends_on = None
squawk_ignores = {
    "adding-foreign-key-constraint": "a customer has some dozens of data sets: both looks at the table are short",
    "constraint-missing-not-valid": "the columns that they are on are new, and null in every row",
}


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE datasets
            ADD COLUMN origin varchar NOT NULL DEFAULT 'upload',
            ADD COLUMN version bigint NOT NULL DEFAULT 1,
            ADD COLUMN root_id varchar,
            ADD COLUMN parent_id varchar,
            ADD COLUMN job_id varchar,
            ADD COLUMN run_id varchar,
            ADD CONSTRAINT fk_datasets_root_id_datasets FOREIGN KEY (root_id) REFERENCES datasets (id),
            ADD CONSTRAINT fk_datasets_parent_id_datasets FOREIGN KEY (parent_id) REFERENCES datasets (id)
        """
    )
    op.execute("CREATE UNIQUE INDEX uq_datasets_version ON datasets (root_id, version) WHERE root_id IS NOT NULL")
    op.execute("CREATE UNIQUE INDEX uq_datasets_job ON datasets (job_id) WHERE job_id IS NOT NULL")


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE datasets
            DROP COLUMN origin, DROP COLUMN version, DROP COLUMN root_id, DROP COLUMN parent_id,
            DROP COLUMN job_id, DROP COLUMN run_id
        """
    )
