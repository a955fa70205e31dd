"""What Alembic runs: migrate on the connection that `storage.migrate` hands over."""

from alembic import context

from mahler_pipelines.storage.tables import metadata

# SQLite's schema changes are transactional too, so a killed migration leaves nothing behind.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
