#!/bin/bash
# Run once by the image, on an empty cluster: who may log in, and what each of them is.
#
#   migrator    owns the database, changes its schema, and gives the groups their rights
#   api         the API; a member of renown_api
#   worker      indexer, crawler, watcher, notary; a member of renown_writer
#   replicator  the replica
#
# What the groups may do is granted by `renown db roles`, and kept by `renown db migrate`.
set -euo pipefail
secrets=${SECRETS_DIRECTORY:-/run/secrets}

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
    --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=database="$POSTGRES_DB" \
    --set=migrator="$(cat "$secrets/migrator-password")" \
    --set=api="$(cat "$secrets/api-password")" \
    --set=worker="$(cat "$secrets/worker-password")" \
    --set=replicator="$(cat "$secrets/replicator-password")" <<'SQL'
CREATE ROLE renown_api NOLOGIN;
CREATE ROLE renown_writer NOLOGIN;
CREATE ROLE renown_readonly NOLOGIN;

CREATE ROLE migrator LOGIN CREATEROLE PASSWORD :'migrator' CONNECTION LIMIT 10;
CREATE ROLE api LOGIN PASSWORD :'api' CONNECTION LIMIT 120 IN ROLE renown_api;
CREATE ROLE worker LOGIN PASSWORD :'worker' CONNECTION LIMIT 40 IN ROLE renown_writer;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator' CONNECTION LIMIT 4;

-- So that it may set their limits, without being one of them.
GRANT renown_api, renown_writer, renown_readonly, api, worker TO migrator
    WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;
-- Metrics see what all connections do.
GRANT pg_read_all_stats TO renown_writer;

ALTER DATABASE :"database" OWNER TO migrator;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO renown_api, renown_writer, renown_readonly;
GRANT TEMPORARY ON DATABASE :"database" TO renown_writer;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SELECT pg_create_physical_replication_slot('replica') \g /dev/null
SQL

echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
