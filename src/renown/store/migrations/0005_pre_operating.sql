-- 0005 operating: what roles without ownership may ask for, vacuum where rows change fast, and views for whoever looks
-- after the database.
--
-- Why      The services run under roles that own nothing (store.roles); hot tables need vacuum sooner than a fifth of
--          them is dead; `renown db report` and people ask the same questions.
-- Writer   refresh_view; `renown db roles`.
-- Lock     SHARE UPDATE EXCLUSIVE on the hot tables, for a moment each: readers and writers go on.
-- Backfill none.
-- Undo     drop what is made here; ALTER TABLE ... RESET (...) the options.

-- Roles of this installation, as `renown db roles` made them. No row: one user does everything.
CREATE TABLE service_role (
    kind    text PRIMARY KEY CHECK (kind IN ('writer', 'api', 'readonly')),
    name    text NOT NULL,
    granted text NOT NULL    -- tells which version's rights they were given
);

-- When each materialized view was last made anew, and how long that took.
CREATE TABLE view_refresh (
    view         text PRIMARY KEY,
    refreshed_at timestamptz NOT NULL,
    duration_ms  double precision NOT NULL
);

-- What needs ownership --------------------------------------------------------------------------

CREATE FUNCTION refresh_view(which text) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    began   timestamptz := clock_timestamp();
    took_ms double precision;
BEGIN
    CASE which
        WHEN 'network' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY network;
        WHEN 'term_count' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY term_count;
    END CASE;
    took_ms := extract(epoch FROM clock_timestamp() - began) * 1000;
    INSERT INTO view_refresh VALUES (which, began, took_ms)
        ON CONFLICT (view) DO UPDATE SET refreshed_at = began, duration_ms = took_ms;
    RETURN took_ms;
END $$;

-- Only tables of ours: the name comes from whoever calls.
CREATE FUNCTION analyze_tables(names text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT relname FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname = any(names) AND relkind IN ('r', 'p', 'm')
                ORDER BY relname
    LOOP
        EXECUTE format('ANALYZE public.%I', one);
    END LOOP;
END $$;

-- Everybody may call a new function until that is taken back; these act with their owner's rights.
REVOKE EXECUTE ON FUNCTION
    refresh_view, analyze_tables, ensure_fact_partitions, ensure_audit_partitions, audit_add, audit_to_pending,
    audit_row, audit_reviewed, audit_truncate, audit_foreign_write, audit_watch FROM PUBLIC;

-- Vacuum ------------------------------------------------------------------------------------------
-- By default a table is vacuumed when a fifth of it is dead, which for millions of rows is too late, and analyzed when a
-- tenth has changed.

-- Updated in place by nearly every commit of the indexer.
ALTER TABLE agent_stats SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE agent_tag_stats SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE feedback_mark SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE agent SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- One row per chain, changed with every commit: the page would fill with its dead versions.
ALTER TABLE checkpoint SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE trail SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
-- Changed by every attempt, look or probe.
ALTER TABLE uri SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE endpoint SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE payment_claim SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
-- Ten inverted indexes hang on each row; their pending lists are emptied by vacuum.
ALTER TABLE agent_profile SET (autovacuum_vacuum_scale_factor = 0.03, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE operation SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
ALTER TABLE operation_step SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
ALTER TABLE operation_transaction SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
-- Time of last use, to a minute, of keys in use.
ALTER TABLE api_key SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Queues: as many rows die as come, and whoever takes the oldest reads over the dead. By number, since a share of an
-- empty table is nothing.
ALTER TABLE audit_pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                               autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE profile_due SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE payment_look SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE wallet_challenge SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE idempotency SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
                             toast.autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.05);
-- Only ever added to: vacuumed by what came, so that reads by index alone stay possible and freezing is spread.
ALTER TABLE audit_leaf SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE resolution SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- For people ----------------------------------------------------------------------------------------

-- What the sessions of this database do now. Others' statements show to pg_read_all_stats only.
CREATE VIEW v_db_activity AS
SELECT a.pid, a.usename::text AS db_user, a.application_name AS program, a.state,
       extract(epoch FROM clock_timestamp() - a.backend_start)::double precision AS connected_seconds,
       extract(epoch FROM clock_timestamp() - a.xact_start)::double precision AS transaction_seconds,
       CASE WHEN a.state = 'active'
            THEN extract(epoch FROM clock_timestamp() - a.query_start)::double precision END AS statement_seconds,
       a.wait_event_type, a.wait_event, left(a.query, 300) AS statement
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid();

-- Who waits for a lock, and who has it.
CREATE VIEW v_db_locks AS
SELECT w.pid AS waiting_pid, w.application_name AS waiting_program,
       extract(epoch FROM clock_timestamp() - w.state_change)::double precision AS waiting_seconds,
       left(w.query, 300) AS waiting_statement,
       b.pid AS blocking_pid, b.application_name AS blocking_program, b.state AS blocking_state,
       extract(epoch FROM clock_timestamp() - b.xact_start)::double precision AS blocking_transaction_seconds,
       left(b.query, 300) AS blocking_statement
  FROM pg_stat_activity w
 CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blockers (pid)
  JOIN pg_stat_activity b ON b.pid = blockers.pid
 WHERE w.datname = current_database() AND w.wait_event_type = 'Lock';

-- Tables, partitioned ones as one.
CREATE VIEW v_db_tables AS
SELECT coalesce(pg_partition_root(s.relid), s.relid)::regclass::text AS "table", count(*) AS partitions,
       sum(s.n_live_tup)::bigint AS live_rows, sum(s.n_dead_tup)::bigint AS dead_rows,
       sum(pg_table_size(s.relid))::bigint AS table_bytes, sum(pg_indexes_size(s.relid))::bigint AS index_bytes,
       sum(s.seq_scan)::bigint AS sequential_scans, sum(s.idx_scan)::bigint AS index_scans,
       sum(s.n_tup_upd)::bigint AS updates, sum(s.n_tup_hot_upd)::bigint AS hot_updates,
       max(greatest(s.last_vacuum, s.last_autovacuum)) AS vacuumed_at,
       max(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at,
       max(age(c.relfrozenxid)) AS oldest_transactions
  FROM pg_stat_user_tables s
  JOIN pg_class c ON c.oid = s.relid
 WHERE c.relkind IN ('r', 'm')
 GROUP BY 1;

-- Indexes, those of partitions as one. `covered_by`: another one of the same table begins with the same columns in the
-- same order and under the same condition, so that this one may be spared.
CREATE VIEW v_db_indexes AS
WITH every AS (
    SELECT i.indexrelid, i.indrelid, i.indisunique, i.indisprimary, i.indisvalid, i.indnkeyatts, c.relam,
           i.indkey::int2[] AS columns, i.indclass::oid[] AS classes, i.indoption::int2[] AS options,
           i.indcollation::oid[] AS collations,
           coalesce(pg_get_expr(i.indexprs, i.indrelid), '') AS expressions,
           coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS condition
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_class t ON t.oid = i.indrelid
     WHERE t.relnamespace = 'public'::regnamespace
), used AS (
    SELECT coalesce(pg_partition_root(s.indexrelid), s.indexrelid) AS root, sum(s.idx_scan)::bigint AS scans,
           sum(pg_relation_size(s.indexrelid))::bigint AS bytes
      FROM pg_stat_user_indexes s
     GROUP BY 1
)
SELECT e.indrelid::regclass::text AS "table", e.indexrelid::regclass::text AS index, u.scans, u.bytes,
       e.indisprimary AS is_primary, e.indisunique AS is_unique, e.indisvalid AS is_valid,
       (SELECT min(o.indexrelid::regclass::text)
          FROM every o
         WHERE o.indrelid = e.indrelid AND o.indexrelid <> e.indexrelid AND o.relam = e.relam
           AND o.condition = e.condition AND o.expressions = e.expressions AND NOT e.indisunique
           AND o.indnkeyatts >= e.indnkeyatts
           AND o.columns[0:e.indnkeyatts - 1] = e.columns[0:e.indnkeyatts - 1]
           AND o.classes[0:e.indnkeyatts - 1] = e.classes[0:e.indnkeyatts - 1]
           AND o.options[0:e.indnkeyatts - 1] = e.options[0:e.indnkeyatts - 1]
           AND o.collations[0:e.indnkeyatts - 1] = e.collations[0:e.indnkeyatts - 1]
           AND (o.indnkeyatts > e.indnkeyatts OR o.indisunique OR o.indexrelid < e.indexrelid)) AS covered_by
  FROM every e
  JOIN used u ON u.root = e.indexrelid;

CREATE VIEW v_db_partitions AS
SELECT i.inhparent::regclass::text AS "table", c.oid::regclass::text AS partition,
       pg_get_expr(c.relpartbound, c.oid) AS bounds, greatest(c.reltuples, 0)::bigint AS estimated_rows,
       pg_total_relation_size(c.oid) AS bytes
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 WHERE c.relkind IN ('r', 'p') AND c.relispartition AND c.relnamespace = 'public'::regnamespace;

-- Of a view never made anew the rows say when they were counted.
CREATE VIEW v_view_age AS
SELECT v.view, extract(epoch FROM clock_timestamp() - coalesce(r.refreshed_at, v.counted_at))::double precision
       AS age_seconds, r.refreshed_at, r.duration_ms
  FROM (SELECT 'network' AS view, (SELECT max(n.counted_at) FROM network n) AS counted_at
        UNION ALL
        SELECT 'term_count' AS view, (SELECT t.counted_at FROM term_count t LIMIT 1) AS counted_at) v
  LEFT JOIN view_refresh r ON r.view = v.view;
