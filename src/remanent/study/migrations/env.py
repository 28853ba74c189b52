"""What alembic runs: always on the connection, and in the transaction, of `remanent.study.record.database`."""

from alembic import context

from remanent.study.record.metadata import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
