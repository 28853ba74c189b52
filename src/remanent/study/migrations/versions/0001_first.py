"""The first version of the record: tables and columns as the schema of version 0.1.0 has them.

Later versions change rows with `alembic.op`; the guards are off while they run. A table that SQLite must rebuild stays
strict: ``op.batch_alter_table(name, table_kwargs={"sqlite_strict": True})``.
"""

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is older."""
