#!/bin/bash
# A streaming replica of PRIMARY: copied when there is nothing yet, then followed.
#
# Promoted by hand, with `pg_ctl promote`, after the primary was stopped for good: who may write is
# never decided here. See docs/operations/high-availability.md.
set -euo pipefail
umask 077

port=${PRIMARY_PORT:-5432}
passwords=/tmp/replicator.pgpass
printf '%s:%s:*:replicator:%s\n' \
    "$PRIMARY" "$port" "$(cat "${SECRETS_DIRECTORY:-/run/secrets}/replicator-password")" >"$passwords"

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    # Beside its place until it is whole, so that a copy that was cut short is begun again.
    rm -rf "$PGDATA" "$PGDATA.part"
    mkdir -p "$(dirname "$PGDATA")"
    place="host=$PRIMARY port=$port user=replicator passfile=$passwords application_name=replica"
    pg_basebackup --pgdata="$PGDATA.part" --dbname="$place" --no-password --slot=replica \
        --wal-method=stream --checkpoint=fast --write-recovery-conf
    mv "$PGDATA.part" "$PGDATA"
fi
exec postgres -c config_file="${POSTGRES_CONF:-/etc/postgresql/postgresql.conf}" "$@"
