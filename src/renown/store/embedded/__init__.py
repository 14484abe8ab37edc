"""PostgreSQL of our own, when nobody names one: found, made, started, watched and stopped here."""

from renown.store.embedded.ephemeral import EPHEMERAL, ephemeral_postgres
from renown.store.embedded.programs import pg_bin_dir
from renown.store.embedded.server import EmbeddedPostgres, running_dsn

__all__ = ["EPHEMERAL", "EmbeddedPostgres", "ephemeral_postgres", "pg_bin_dir", "running_dsn"]
