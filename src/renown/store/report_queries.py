"""The questions of `store.report`, mostly to views of ours."""

from __future__ import annotations

from typing import LiteralString

OVERVIEW: LiteralString = """
SELECT current_setting('server_version') AS server_version,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int AS connections_limit,
       d.blks_read AS blocks_read, d.blks_hit AS blocks_hit,
       coalesce(d.blks_hit::double precision / nullif(d.blks_hit + d.blks_read, 0), 1)
           AS cache_hit_share,
       d.xact_commit AS committed, d.xact_rollback AS rolled_back, d.deadlocks,
       d.temp_bytes AS temporary_bytes, d.stats_reset AS counted_since,
       current_setting('data_checksums') = 'on' AS data_checksums
  FROM pg_stat_database d WHERE d.datname = current_database()
"""

# What a table would take if its rows lay close, by the widths that ANALYZE saw: rows times (header
# of 24 bytes, pointer of 4, width of the columns), over the share of a page that is to be filled.
# Of small or never analyzed tables it says nothing.
TABLES: LiteralString = """
WITH rows_ AS (
    SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS "table", c.relpages,
           c.relpages * current_setting('block_size')::bigint AS held_bytes,
           c.reltuples * (28 + (SELECT sum(s.avg_width * (1 - s.null_frac)) FROM pg_stats s
                                 WHERE s.schemaname = 'public' AND s.tablename = c.relname))
           / coalesce((SELECT substring(o FROM 12)::float / 100
                         FROM unnest(c.reloptions) o WHERE o LIKE 'fillfactor=%'), 1)
           AS needed_bytes
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm') AND c.reltuples > 0
), bloat AS (
    SELECT "table", sum(greatest(held_bytes - needed_bytes, 0))::bigint AS bloat_bytes
      FROM rows_ WHERE relpages > 128 GROUP BY 1
)
SELECT t.*, b.bloat_bytes
  FROM v_db_tables t LEFT JOIN bloat b USING ("table")
 ORDER BY t.table_bytes + t.index_bytes DESC, t."table"
"""

INDEXES: LiteralString = "SELECT * FROM v_db_indexes ORDER BY bytes DESC, index"
ACTIVITY: LiteralString = """
SELECT * FROM v_db_activity WHERE state <> 'idle'
 ORDER BY transaction_seconds DESC NULLS LAST, pid
"""
LOCKS: LiteralString = "SELECT * FROM v_db_locks ORDER BY waiting_seconds DESC, waiting_pid"
VIEWS: LiteralString = "SELECT * FROM v_view_age ORDER BY view"
PARTITIONS: LiteralString = "SELECT * FROM v_db_partitions ORDER BY bytes DESC, partition"

HAS_STATEMENTS: LiteralString = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
   AND 'pg_stat_statements' = any(string_to_array(
           replace(current_setting('shared_preload_libraries'), ' ', ''), ','))
"""
STATEMENTS: LiteralString = """
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS statement, calls,
       total_exec_time AS total_ms, mean_exec_time AS mean_ms, max_exec_time AS longest_ms, rows,
       shared_blks_read AS blocks_read, temp_blks_written AS temporary_blocks
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY total_exec_time DESC LIMIT $1
"""

AUDIT: LiteralString = """
SELECT EXISTS (SELECT FROM audit_log_rest WHERE action <> 'retention') AS in_rest,
       to_regclass('audit_log_' || to_char((now() AT TIME ZONE 'UTC') + interval '1 month',
                                           'YYYY_MM')) IS NOT NULL AS next_month
"""

UNLIMITED: LiteralString = """
SELECT g.rolname AS role, u.rolname AS member
  FROM pg_auth_members m
  JOIN pg_roles g ON g.oid = m.roleid
  JOIN pg_roles u ON u.oid = m.member
 WHERE g.rolname = any($1) AND u.rolcanlogin AND NOT u.rolsuper AND u.rolname <> current_user
   AND (u.rolconnlimit = -1 OR NOT EXISTS (
       SELECT FROM pg_db_role_setting s, unnest(s.setconfig) c
        WHERE s.setrole = u.oid AND c LIKE 'statement\\_timeout=%'))
 ORDER BY 1, 2
"""
