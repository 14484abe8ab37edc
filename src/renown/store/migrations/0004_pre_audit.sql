-- 0004 audit: who changed what, under a log that shows tampering; this installation's own marks and policies.
--
-- Why      Whoever relies on the index, or runs it, can see every change that a person or a key made, also one made
--          by `psql`, and anyone who kept a checkpoint can tell whether an entry was altered, removed or slipped in.
-- Writer   triggers (changes of rows), api (requests), ingest (commits of chains; the notary: leaves, nodes,
--          checkpoints), the owner (retention).
-- Lock     SHARE ROW EXCLUSIVE on the tables that get triggers, for a moment each.
-- Backfill none: what happened before is not under the log.
-- Undo     drop the triggers, then what is made here. The log is in no chain: keep a dump.

CREATE SEQUENCE audit_entry_id;

-- One thing that happened. Never changed; goes only by retention, whole.
CREATE TABLE audit_log (
    entry_id    bigint NOT NULL DEFAULT nextval('audit_entry_id'),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    action      text   NOT NULL,          -- see docs/explanation/audit.md: insert, update, delete, truncate, foreign-write,
                                          -- commit, retract, repair, request, refused, read, retention, ...
    subject     text   NOT NULL,          -- a table, a route, or a chain as `chain:8453`
    subject_key text,                     -- which row of it, in the primary key's order
    request_id  uuid,
    account_id  bigint,
    key_id      text,
    wallet      bytea,                    -- that the request spoke for
    address     bytea,                    -- pseudonym of where it came from: see audit_address_key
    user_agent  text,
    db_user     text   NOT NULL DEFAULT session_user,
    program     text   NOT NULL DEFAULT coalesce(current_setting('application_name', true), ''),
    method      text,
    route       text,                     -- the pattern, never the path
    status      smallint,
    duration_ms numeric(12, 3),
    before      jsonb,                    -- the row, secrets left out
    after       jsonb,
    detail      jsonb,
    PRIMARY KEY (entry_id, at),
    -- Whoever may write entries could else stop the notary with a time that no program can read.
    CONSTRAINT audit_log_at_check CHECK (at >= to_timestamp(946684800) AND at < to_timestamp(253370764800))  -- 2000, 9999
) PARTITION BY RANGE (at);
-- All in the order in which they are read. Reads with a key, which are most, are left out where nobody looks for them.
CREATE INDEX audit_log_by_time ON audit_log (at, entry_id);
CREATE INDEX audit_log_by_account ON audit_log (account_id, at, entry_id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_log_by_key ON audit_log (key_id, at, entry_id) WHERE key_id IS NOT NULL;
CREATE INDEX audit_log_by_subject ON audit_log (subject, at, entry_id);
CREATE INDEX audit_log_by_subject_key ON audit_log (subject_key, at, entry_id) WHERE subject_key IS NOT NULL;
CREATE INDEX audit_log_by_action ON audit_log (action, at, entry_id) WHERE action <> 'read';
CREATE INDEX audit_log_of_chains ON audit_log (subject, entry_id) WHERE action IN ('commit', 'retract', 'repair');
CREATE INDEX audit_log_by_failure ON audit_log (at, entry_id) WHERE status >= 400;
CREATE INDEX audit_log_by_request ON audit_log (request_id) WHERE request_id IS NOT NULL;
-- For a month nobody made a partition for: nothing is lost, and the report says so.
CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;

-- Committed entries that are no leaves yet. Only the notary takes them away.
CREATE TABLE audit_pending (
    entry_id bigint PRIMARY KEY,
    at       timestamptz NOT NULL
);

-- The log proper: entries in the order the notary took them, 0.. without gaps.
CREATE TABLE audit_leaf (
    seq       bigint PRIMARY KEY,
    entry_id  bigint NOT NULL UNIQUE,
    at        timestamptz NOT NULL,       -- of the entry: leads to its partition
    rule      text,                       -- which rule wants a person to look; null: none does
    leaf_hash bytea  NOT NULL CHECK (octet_length(leaf_hash) = 32),   -- SHA-256(0x00 || payload), RFC 6962
    link_hash bytea  NOT NULL CHECK (octet_length(link_hash) = 32)    -- SHA-256(0x00 || link before || leaf_hash)
);
CREATE INDEX audit_leaf_to_review ON audit_leaf (at, entry_id) WHERE rule IS NOT NULL;

-- Complete subtrees above the leaves: at level l, index i covers leaves i * 2^l .. (i + 1) * 2^l - 1.
CREATE TABLE audit_node (
    level smallint NOT NULL CHECK (level > 0),
    index bigint   NOT NULL,
    hash  bytea    NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, index)
);

-- Signed tree heads, as they were given out too.
CREATE TABLE audit_checkpoint (
    size      bigint PRIMARY KEY,
    root_hash bytea  NOT NULL CHECK (octet_length(root_hash) = 32),
    link_hash bytea  NOT NULL CHECK (octet_length(link_hash) = 32),
    note      text   NOT NULL,            -- C2SP signed note
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE audit_review (
    review_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id   bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_id bigint,                    -- no reference: the log outlives accounts
    reviewer   text   NOT NULL CHECK (length(reviewer) BETWEEN 1 AND 200),
    note       text   NOT NULL CHECK (length(note) <= 4000)
);
CREATE INDEX audit_review_by_entry ON audit_review (entry_id);

-- Leaves with a rule that nobody has reviewed, so that they can be counted: the notary adds, a review takes away.
CREATE TABLE audit_review_open (
    entry_id bigint PRIMARY KEY,
    at       timestamptz NOT NULL         -- of the entry
);

-- What the notary found wrong with the log, until a person has said what it was.
CREATE TABLE audit_alarm (
    alarm_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at        timestamptz NOT NULL DEFAULT now(),
    what            text        NOT NULL,
    acknowledged_at timestamptz,              -- null: it stands
    found_out       text
);

-- Addresses are kept as HMAC-SHA-256 under the key of their day; when the key goes, nobody can try them any more.
CREATE TABLE audit_address_key (
    day date  PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);

-- What operators decide, beside the environment: which entries need review, how long they stay.
CREATE TABLE policy (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Settings as the components of this installation last ran with them; of secrets only that they were set.
CREATE TABLE installation_setting (
    component text NOT NULL,
    variable  text NOT NULL,
    value     text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, variable)
);

-- What this installation itself thinks of an agent, or of one feedback. Nothing of it is on the chain.
CREATE TABLE installation_mark (
    mark_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain_id   bigint NOT NULL,
    agent_id   bigint NOT NULL,
    client     bytea  CHECK (octet_length(client) = 20),
    feedback_index bigint,
    mark       text   NOT NULL CHECK (mark IN ('suspended', 'hidden', 'reviewed')),
    note       text   NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
    account_id bigint REFERENCES account,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((client IS NULL) = (feedback_index IS NULL)),
    UNIQUE NULLS NOT DISTINCT (chain_id, agent_id, client, feedback_index, mark)
);

-- Sees the whole log, reviews it, and marks agents.
ALTER TABLE account ADD COLUMN is_operator boolean NOT NULL DEFAULT false;

-- Entries ---------------------------------------------------------------------------------------

CREATE FUNCTION audit_to_pending() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_pending (entry_id, at) SELECT entry_id, at FROM entries;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_to_pending AFTER INSERT ON audit_log
    REFERENCING NEW TABLE AS entries FOR EACH STATEMENT EXECUTE FUNCTION audit_to_pending();

CREATE FUNCTION audit_reviewed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM audit_review_open WHERE entry_id = NEW.entry_id;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_reviewed AFTER INSERT ON audit_review FOR EACH ROW EXECUTE FUNCTION audit_reviewed();

-- The words that explain why entries are gone are the owner's alone.
CREATE FUNCTION audit_owners_word() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'public.audit_log'::regclass), 'USAGE')
    THEN
        RAISE EXCEPTION 'only the owner of the audit log writes entries of %', NEW.action
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_owners_word BEFORE INSERT ON audit_log
    FOR EACH ROW WHEN (NEW.action IN ('retention', 'restore')) EXECUTE FUNCTION audit_owners_word();

-- Who acts, as `renown.acting` of the transaction says; nobody in particular where it says nothing.
CREATE FUNCTION audit_add(
    in_action text, in_subject text, in_key text, in_before jsonb, in_after jsonb, in_detail jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    acting jsonb := coalesce(nullif(current_setting('renown.acting', true), ''), '{}')::jsonb;
    given_role text := current_setting('role', true);
BEGIN
    INSERT INTO audit_log (action, subject, subject_key, request_id, account_id, key_id, wallet, address, user_agent,
                           db_user, before, after, detail)
    VALUES (in_action, in_subject, in_key, (acting ->> 'request_id')::uuid, (acting ->> 'account_id')::bigint,
            acting ->> 'key_id', decode(acting ->> 'wallet', 'hex'), decode(acting ->> 'address', 'hex'),
            acting ->> 'user_agent',
            CASE WHEN given_role IS NULL OR given_role IN ('', 'none', session_user) THEN session_user::text
                 ELSE session_user || ' as ' || given_role END,
            in_before, in_after,
            CASE WHEN acting ? 'command'
                 THEN coalesce(in_detail, '{}') || jsonb_build_object('command', acting -> 'command',
                                                                      'person', acting -> 'person')
                 ELSE in_detail END);
END $$;

-- Arguments: columns of the key; columns that are secret and left out; columns whose change alone is nothing.
CREATE FUNCTION audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    keys   text[] := string_to_array(TG_ARGV[0], ',');
    secret text[] := string_to_array(TG_ARGV[1], ',');
    idle   text[] := string_to_array(TG_ARGV[2], ',');
    was    jsonb;
    is_now jsonb;
    whole  jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN is_now := to_jsonb(NEW); END IF;
    IF TG_OP = 'UPDATE' AND was - idle = is_now - idle THEN
        RETURN NULL;
    END IF;
    whole := coalesce(is_now, was);
    -- That a secret changed is told, what it is not.
    IF TG_OP = 'UPDATE' AND was - secret = is_now - secret THEN
        is_now := is_now || jsonb_build_object('changed_secret', true);
    END IF;
    PERFORM audit_add(lower(TG_OP), TG_TABLE_NAME,
                      (SELECT string_agg(whole ->> k, ',' ORDER BY n) FROM unnest(keys) WITH ORDINALITY AS u (k, n)),
                      was - secret, is_now - secret, NULL);
    RETURN NULL;
END $$;

CREATE FUNCTION audit_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_add('truncate', TG_TABLE_NAME, NULL, NULL, NULL,
                      jsonb_build_object('statement', left(current_query(), 500)));
    RETURN NULL;
END $$;

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('account', 'account_id', '', '', 'true'),
        ('account_wallet', 'address,chain_id', '', '', 'true'),
        ('api_key', 'key_id', 'secret_hash', 'last_used_at', 'true'),
        ('signer_grant', 'address', '', '', 'true'),
        ('policy', 'name', '', 'updated_at', 'true'),
        ('installation_setting', 'component,variable', '', 'since', 'true'),
        ('installation_mark', 'mark_id', '', '', 'true'),
        ('audit_review', 'review_id', '', '', 'true'),
        -- Claims that feedback files make are not people's, as long as it is the worker that writes them.
        ('payment_claim', 'claim_id', '', 'tries,due_at,checked_at',
         '%1$s.account_id IS NOT NULL OR current_setting(''renown.indexer'', true) IS DISTINCT FROM ''on''')
    ) AS audited (name, keys, secret, idle, what)
    LOOP
        EXECUTE format('CREATE TRIGGER audit_insert AFTER INSERT ON %I FOR EACH ROW WHEN (%s) '
                       'EXECUTE FUNCTION audit_row(%L, %L, %L)',
                       one.name, format(one.what, 'NEW'), one.keys, one.secret, one.idle);
        -- A row is somebody's if it was or becomes theirs.
        EXECUTE format('CREATE TRIGGER audit_change AFTER UPDATE ON %I FOR EACH ROW WHEN (%s OR %s) '
                       'EXECUTE FUNCTION audit_row(%L, %L, %L)',
                       one.name, format(one.what, 'OLD'), format(one.what, 'NEW'), one.keys, one.secret, one.idle);
        EXECUTE format('CREATE TRIGGER audit_delete AFTER DELETE ON %I FOR EACH ROW WHEN (%s) '
                       'EXECUTE FUNCTION audit_row(%L, %L, %L)',
                       one.name, format(one.what, 'OLD'), one.keys, one.secret, one.idle);
        EXECUTE format('CREATE TRIGGER audit_truncate AFTER TRUNCATE ON %I FOR EACH STATEMENT '
                       'EXECUTE FUNCTION audit_truncate()', one.name);
    END LOOP;
END $$;

-- An alarm speaks for itself; that somebody ends it or removes it is told.
CREATE TRIGGER audit_change AFTER UPDATE ON audit_alarm
    FOR EACH ROW EXECUTE FUNCTION audit_row('alarm_id', '', '');
CREATE TRIGGER audit_delete AFTER DELETE ON audit_alarm
    FOR EACH ROW EXECUTE FUNCTION audit_row('alarm_id', '', '');
CREATE TRIGGER audit_truncate AFTER TRUNCATE ON audit_alarm
    FOR EACH STATEMENT EXECUTE FUNCTION audit_truncate();

-- What comes from the chain has no trigger per row: the indexer writes one entry a commit. A statement that is neither
-- the indexer's nor a worker's that keeps what follows from it is told of. Whoever means harm can claim to be the indexer; the hash of each commit's facts remains.
CREATE FUNCTION audit_foreign_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('renown.indexer', true) IS DISTINCT FROM 'on' THEN
        PERFORM audit_add('foreign-write', TG_TABLE_NAME, NULL, NULL, NULL,
                          jsonb_build_object('operation', lower(TG_OP), 'statement', left(current_query(), 500)));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION audit_watch(watched regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER audit_foreign_write AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION audit_foreign_write()', watched);
END $$;

SELECT audit_watch(c.oid::regclass)
  FROM pg_class c
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
 WHERE coalesce(i.inhparent, c.oid)::regclass::text IN (
        'agent_registered', 'uri_updated', 'metadata_set', 'agent_transferred', 'agent_approved', 'operator_set',
        'metadata_refreshed', 'feedback_given', 'feedback_revoked', 'response_appended', 'validation_requested',
        'validation_responded', 'registry_changed', 'legacy_event', 'quarantine', 'unattached', 'block', 'agent',
        'agent_metadata', 'agent_ownership', 'feedback_mark', 'agent_stats', 'agent_tag_stats', 'validation',
        'payment', 'chain', 'checkpoint', 'coverage', 'outbox')
   AND c.relkind IN ('r', 'p')
 ORDER BY c.oid::regclass::text;

-- As before, but a statement on the partition itself is told of, too, and whoever may ask need not own the tables.
CREATE OR REPLACE FUNCTION ensure_fact_partitions(for_chain bigint, slot bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    parent text;
    child  text;
    made   integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY[
        'agent_registered', 'uri_updated', 'metadata_set', 'agent_transferred', 'agent_approved', 'operator_set',
        'metadata_refreshed', 'feedback_given', 'feedback_revoked', 'response_appended', 'validation_requested',
        'validation_responded', 'registry_changed', 'legacy_event'
    ] LOOP
        child := format('%s_c%s_p%s', parent, for_chain, slot);
        IF to_regclass(quote_ident(child)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s, %s) TO (%s, %s)',
                parent, child, for_chain, slot << 27, for_chain, (slot + 1) << 27
            );
            PERFORM audit_watch(child::regclass);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Append-only -------------------------------------------------------------------------------------

-- Roles of the service have no right to try; this stops the owner's slips. Retention says that it is meant.
CREATE FUNCTION audit_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('renown.retention', true) = 'on' AND TG_OP = 'DELETE'
       AND TG_TABLE_NAME NOT IN ('audit_leaf', 'audit_node', 'audit_checkpoint') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_log', 'audit_leaf', 'audit_node', 'audit_checkpoint', 'audit_review'] LOOP
        EXECUTE format('CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW '
                       'EXECUTE FUNCTION audit_append_only()', name);
        EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                       'EXECUTE FUNCTION audit_append_only()', name);
    END LOOP;
END $$;

-- Partitions of this month and the next ones. What waits in the default partition for one of them moves there.
CREATE FUNCTION ensure_audit_partitions(months_ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    first timestamptz;
    child text;
    made  integer := 0;
BEGIN
    FOR first IN SELECT date_trunc('month', now()) + make_interval(months => n) FROM generate_series(0, months_ahead) n
    LOOP
        child := 'audit_log_' || to_char(first, 'YYYY_MM');
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE audit_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child);
        IF EXISTS (SELECT FROM audit_log_rest WHERE at >= first AND at < first + interval '1 month') THEN
            PERFORM set_config('renown.retention', 'on', true);
            EXECUTE format('WITH moved AS (DELETE FROM audit_log_rest WHERE at >= %L AND at < %L RETURNING *) '
                           'INSERT INTO %I SELECT * FROM moved', first, first + interval '1 month', child);
            PERFORM set_config('renown.retention', '', true);
        END IF;
        EXECUTE format('ALTER TABLE audit_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       child, first, first + interval '1 month');
        EXECUTE format('CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                       'EXECUTE FUNCTION audit_append_only()', child);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- For people ----------------------------------------------------------------------------------------

CREATE VIEW v_audit_log AS
SELECT l.entry_id, l.at, l.action, l.subject, l.subject_key, l.status, l.duration_ms, l.method, l.route,
       a.name AS account, l.account_id, l.key_id, encode(l.wallet, 'hex') AS wallet, encode(l.address, 'hex') AS address,
       l.user_agent, l.db_user, l.program, l.request_id, l.before, l.after, l.detail, f.seq, f.rule,
       CASE WHEN f.seq IS NULL THEN 'pending'
            WHEN f.rule IS NULL THEN 'not needed'
            WHEN r.entry_id IS NULL THEN 'open'
            ELSE 'reviewed' END AS review,
       r.reviewer, r.at AS reviewed_at, r.note AS review_note
  FROM audit_log l
  LEFT JOIN account a USING (account_id)
  LEFT JOIN audit_leaf f USING (entry_id)
  LEFT JOIN LATERAL (
       SELECT * FROM audit_review r WHERE r.entry_id = l.entry_id ORDER BY r.review_id DESC LIMIT 1) r ON true;

CREATE VIEW v_audit_summary AS
SELECT date_trunc('hour', at) AS hour, action, status, count(*) AS entries,
       round(avg(duration_ms), 3) AS mean_duration_ms, count(*) FILTER (WHERE status >= 400) AS errors
  FROM audit_log
 WHERE at > now() - interval '24 hours'
 GROUP BY 1, 2, 3;
