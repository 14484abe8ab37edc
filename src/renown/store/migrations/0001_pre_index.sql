-- 0001 index: facts by block, state folded from them, and what keeps both honest.
--
-- Why      The whole index of design: facts -> state, checkpoint, outbox, quarantine, coverage.
-- Writer   ingest, one process per chain (lease + fence), one transaction per commit.
-- Lock     none on existing tables (creates only).
-- Backfill none; rows arrive by following the chain.
-- Undo     drop the schema's tables; the chain holds everything they held.
--
-- Rules all tables follow: foreign strings are bytea (a contract may emit NUL or invalid UTF-8);
-- addresses are 20 bytes, hashes 32; ids and indexes are bigint because the decoder proved
-- the bound; value is numeric (int128). Facts have no foreign key to `block`: a reorg deletes by
-- (chain_id, block_number >= n), table by table, and a foreign key would double the cost of a load.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- Chains ------------------------------------------------------------------------------------

CREATE TABLE chain (
    chain_id          bigint PRIMARY KEY CHECK (chain_id > 0),
    slug              text   NOT NULL UNIQUE,
    name              text   NOT NULL,
    testnet           boolean NOT NULL,
    identity          bytea  NOT NULL CHECK (octet_length(identity) = 20),
    reputation        bytea  NOT NULL CHECK (octet_length(reputation) = 20),
    validations       bytea[] NOT NULL DEFAULT '{}',
    explorer          text   NOT NULL DEFAULT '',
    start_block       bigint NOT NULL CHECK (start_block >= 0),
    genesis_hash      bytea,          -- the id of a devnet does not name one chain
    epoch             bigint NOT NULL -- tells this life of the chain here from one before `forget`
                      DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
);

-- One row per chain, moved only in the transaction that stores the facts below it.
CREATE TABLE checkpoint (
    chain_id          bigint PRIMARY KEY REFERENCES chain,
    block_number      bigint NOT NULL,     -- everything at or below is stored; start_block - 1 at first
    block_hash        bytea,               -- null until the first commit
    block_time        timestamptz,
    final_block       bigint NOT NULL DEFAULT -1,  -- at or below: cannot be reorganised
    safe_block        bigint,
    head_block        bigint NOT NULL DEFAULT -1,  -- the highest the nodes have shown
    head_seen_at      timestamptz,
    position          bigint NOT NULL DEFAULT 0,   -- last outbox position
    fence             bigint NOT NULL DEFAULT 0,   -- raised by every new writer; checked by every commit
    writer            text,
    events            bigint NOT NULL DEFAULT 0,   -- facts held, quarantine not included
    phase             text   NOT NULL DEFAULT 'new'
                      CHECK (phase IN ('new', 'backfill', 'follow', 'stopped')),
    problem           text,                -- why it stopped, for people
    events_per_second double precision,
    updated_at        timestamptz NOT NULL DEFAULT now()
);

-- Every block that has facts or quarantined logs, and every block of the unfinalised window.
CREATE TABLE block (
    chain_id     bigint NOT NULL,
    number       bigint NOT NULL,
    hash         bytea  NOT NULL CHECK (octet_length(hash) = 32),
    parent_hash  bytea  NOT NULL,
    time         timestamptz NOT NULL,
    fact_count   integer NOT NULL,    -- quarantined logs included
    PRIMARY KEY (chain_id, number)
);
-- Serves the pruning of empty blocks once they are final.
CREATE INDEX block_empty ON block (chain_id, number) WHERE fact_count = 0;
-- Serves `?at=` by time: the last block at or before it.
CREATE INDEX block_by_time ON block (chain_id, time, number);

-- Facts -------------------------------------------------------------------------------------
-- One append-only table per event kind, partitioned by chain and block. Never updated.

CREATE TABLE agent_registered (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id bigint NOT NULL,
    owner    bytea  NOT NULL,
    uri      bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX agent_registered_by_agent ON agent_registered (chain_id, agent_id, block_number, log_index);

CREATE TABLE uri_updated (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id   bigint NOT NULL,
    updated_by bytea  NOT NULL,
    uri        bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX uri_updated_by_agent ON uri_updated (chain_id, agent_id, block_number, log_index);

CREATE TABLE metadata_set (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id bigint NOT NULL,
    key      bytea  NOT NULL,
    key_hash bytea  NOT NULL,
    value    bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX metadata_set_by_agent ON metadata_set (chain_id, agent_id, block_number, log_index);

CREATE TABLE agent_transferred (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id     bigint NOT NULL,
    from_address bytea  NOT NULL,
    to_address   bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX agent_transferred_by_agent ON agent_transferred (chain_id, agent_id, block_number, log_index);

CREATE TABLE agent_approved (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id bigint NOT NULL,
    owner    bytea  NOT NULL,
    approved bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX agent_approved_by_agent ON agent_approved (chain_id, agent_id, block_number, log_index);

CREATE TABLE operator_set (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    owner    bytea   NOT NULL,
    operator bytea   NOT NULL,
    approved boolean NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX operator_set_by_owner ON operator_set (chain_id, owner, block_number, log_index);

CREATE TABLE metadata_refreshed (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id      bigint NOT NULL,   -- the first of the range; MetadataUpdate names one agent
    last_agent_id bigint NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX metadata_refreshed_by_agent ON metadata_refreshed (chain_id, agent_id, block_number, log_index);
-- Serves an agent's history: the notices that span many agents, of which there are hardly any.
CREATE INDEX metadata_refreshed_spans
    ON metadata_refreshed (chain_id, block_number, log_index) WHERE last_agent_id > agent_id;

CREATE TABLE feedback_given (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id       bigint   NOT NULL,
    client         bytea    NOT NULL,
    feedback_index bigint   NOT NULL,   -- 1-based per (agent, client)
    value          numeric  NOT NULL,   -- int128 within +-1e38, scaled by 10^decimals
    decimals       smallint NOT NULL,
    tag1           bytea    NOT NULL,
    tag2           bytea    NOT NULL,
    endpoint       bytea    NOT NULL,
    uri            bytea    NOT NULL,
    content_hash   bytea    NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
-- Serves an agent's feedback page, newest first, and the fold of one agent.
CREATE INDEX feedback_given_by_agent ON feedback_given (chain_id, agent_id, block_number, log_index);
-- Serves the subject of a revocation or response, and getSummary over a client list.
CREATE INDEX feedback_given_by_key ON feedback_given (chain_id, agent_id, client, feedback_index);
-- Serves "what else did this reviewer say".
CREATE INDEX feedback_given_by_client ON feedback_given (chain_id, client, block_number, log_index);
-- Serves feedback by tag; a prefix, since a btree key may not exceed 2,704 bytes.
CREATE INDEX feedback_given_by_tag ON feedback_given (chain_id, substring(tag1 FOR 32), block_number, log_index);

CREATE TABLE feedback_revoked (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id       bigint NOT NULL,
    client         bytea  NOT NULL,
    feedback_index bigint NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX feedback_revoked_by_agent ON feedback_revoked (chain_id, agent_id, block_number, log_index);

CREATE TABLE response_appended (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    agent_id       bigint NOT NULL,
    client         bytea  NOT NULL,
    feedback_index bigint NOT NULL,
    responder      bytea  NOT NULL,
    uri            bytea  NOT NULL,
    content_hash   bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX response_appended_by_agent ON response_appended (chain_id, agent_id, block_number, log_index);
-- Serves the responses to one feedback, and their count in the past.
CREATE INDEX response_appended_by_key
    ON response_appended (chain_id, agent_id, client, feedback_index, block_number, log_index);

CREATE TABLE validation_requested (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    contract     bytea  NOT NULL,
    agent_id     bigint NOT NULL,
    validator    bytea  NOT NULL,
    request_hash bytea  NOT NULL,
    uri          bytea  NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX validation_requested_by_agent ON validation_requested (chain_id, agent_id, block_number, log_index);

CREATE TABLE validation_responded (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    contract     bytea    NOT NULL,
    agent_id     bigint   NOT NULL,
    validator    bytea    NOT NULL,
    request_hash bytea    NOT NULL,
    response     smallint NOT NULL,
    uri          bytea    NOT NULL,
    content_hash bytea    NOT NULL,
    tag          bytea    NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX validation_responded_by_agent ON validation_responded (chain_id, agent_id, block_number, log_index);

CREATE TABLE registry_changed (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    contract bytea NOT NULL,
    change   text  NOT NULL CHECK (change IN ('upgraded', 'initialized', 'ownership-transferred', 'domain-changed')),
    subject  bytea,
    other    bytea,
    version  numeric,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);

CREATE TABLE legacy_event (
    chain_id bigint NOT NULL, block_number bigint NOT NULL, log_index integer NOT NULL, tx_hash bytea NOT NULL,
    contract bytea NOT NULL,
    event    text  NOT NULL,
    agent_id bigint,
    client   bytea,
    topics   bytea NOT NULL,
    payload  bytea NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
) PARTITION BY RANGE (chain_id, block_number);
CREATE INDEX legacy_event_by_agent ON legacy_event (chain_id, agent_id, block_number, log_index);

-- What cannot be a fact: kept with its bytes, counted, replayed when the code learns.
CREATE TABLE quarantine (
    chain_id     bigint  NOT NULL,
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    tx_hash      bytea   NOT NULL,
    contract     bytea   NOT NULL,
    reason       text    NOT NULL,
    event        text,
    topics       bytea[] NOT NULL,
    payload      bytea   NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, block_number, log_index)
);
CREATE INDEX quarantine_by_reason ON quarantine (chain_id, reason);

-- A partition holds 2^27 blocks of one chain: one for Ethereum in our lifetime, about one a year for
-- the fastest chains. The writer asks for the ones it needs before it writes. ATTACH, unlike
-- CREATE ... PARTITION OF, takes no lock that would stop readers.
CREATE FUNCTION ensure_fact_partitions(for_chain bigint, slot bigint) RETURNS integer
LANGUAGE plpgsql AS $$
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
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- State -------------------------------------------------------------------------------------
-- Folded from facts, in the transaction that stores them; `renown rebuild` makes all of it again.

CREATE TABLE agent (
    chain_id       bigint   NOT NULL,
    agent_id       bigint   NOT NULL,
    uuid           uuid     NOT NULL,      -- uuid5(NAMESPACE_URL, canonical key)
    owner          bytea    NOT NULL,
    registrant     bytea,                  -- null: minted, but no Registered seen
    uri            bytea,                  -- null: never said; empty is a saying
    uri_block      bigint,
    wallet         bytea,
    wallet_state   text     NOT NULL CHECK (wallet_state IN ('unset', 'default', 'proved', 'cleared', 'malformed')),
    approved       bytea,
    created_block  bigint   NOT NULL,
    created_log_index integer NOT NULL,
    created_tx     bytea    NOT NULL,
    created_at     timestamptz NOT NULL,
    transfer_count integer  NOT NULL,
    PRIMARY KEY (chain_id, agent_id)
);
CREATE UNIQUE INDEX agent_by_uuid ON agent (uuid);
CREATE INDEX agent_by_owner ON agent (owner, chain_id, agent_id);
-- Serves the newest agents of all chains.
CREATE INDEX agent_by_age ON agent (created_at, chain_id, agent_id);

CREATE TABLE agent_metadata (
    chain_id     bigint  NOT NULL,
    agent_id     bigint  NOT NULL,
    key_hash     bytea   NOT NULL,   -- keccak256(key): keys have no length limit, btree keys do
    key          bytea   NOT NULL,
    value        bytea   NOT NULL,
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    PRIMARY KEY (chain_id, agent_id, key_hash)
);

-- Who owned which agent from which block to which. An interval that opens and closes in one block
-- is kept (the past within a block is history) and matches no `?at=`.
CREATE TABLE agent_ownership (
    chain_id       bigint  NOT NULL,
    agent_id       bigint  NOT NULL,
    from_block     bigint  NOT NULL,
    from_log_index integer NOT NULL,
    owner          bytea   NOT NULL,
    to_block       bigint,
    to_log_index   integer,
    PRIMARY KEY (chain_id, agent_id, from_block, from_log_index)
);
CREATE INDEX agent_ownership_by_owner ON agent_ownership (owner, chain_id, agent_id, from_block);

-- Only what has happened to a feedback since it was given; most have no row. Keyed by the fact.
CREATE TABLE feedback_mark (
    chain_id             bigint  NOT NULL,
    block_number         bigint  NOT NULL,
    log_index            integer NOT NULL,
    agent_id             bigint  NOT NULL,
    client               bytea   NOT NULL,
    feedback_index       bigint  NOT NULL,
    revoked_block        bigint,
    revoked_log_index    integer,
    superseded_block     bigint,   -- the registry restarted its indexes and gave this one again
    superseded_log_index integer,
    response_count       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (chain_id, block_number, log_index)
);

-- The live view of feedback.
CREATE VIEW feedback AS
SELECT f.*, m.revoked_block, m.revoked_log_index, m.superseded_block, m.superseded_log_index,
       coalesce(m.response_count, 0) AS response_count
  FROM feedback_given f
  LEFT JOIN feedback_mark m USING (chain_id, block_number, log_index);

CREATE TABLE agent_stats (
    chain_id              bigint NOT NULL,
    agent_id              bigint NOT NULL,
    version               bigint NOT NULL,   -- outbox position of the last commit that touched the agent
    feedback_count        bigint NOT NULL DEFAULT 0,   -- given and not superseded, revoked ones too
    revoked_count         bigint NOT NULL DEFAULT 0,
    client_count          bigint NOT NULL DEFAULT 0,
    response_count        bigint NOT NULL DEFAULT 0,
    validation_count      bigint NOT NULL DEFAULT 0,
    validation_responded_count bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (chain_id, agent_id)
) WITH (fillfactor = 70);

CREATE TABLE agent_tag_stats (
    chain_id    bigint  NOT NULL,
    agent_id    bigint  NOT NULL,
    tags_hash   bytea   NOT NULL,    -- blake2b-128 of len(tag1) . tag1 . tag2
    tag1        bytea   NOT NULL,
    tag2        bytea   NOT NULL,
    given_count bigint  NOT NULL,    -- not superseded
    live_count  bigint  NOT NULL,    -- and not revoked
    live_sum    numeric NOT NULL,    -- exact sum of value * 10^(18 - decimals) over the live ones
    PRIMARY KEY (chain_id, agent_id, tags_hash)
) WITH (fillfactor = 70);

CREATE TABLE validation (
    chain_id        bigint NOT NULL,
    agent_id        bigint NOT NULL,
    contract        bytea  NOT NULL,
    request_hash    bytea  NOT NULL,
    validator       bytea  NOT NULL,
    request_uri     bytea  NOT NULL,
    requested_block bigint NOT NULL,
    requested_log_index integer NOT NULL,
    response        smallint,           -- null: pending, which is not 0
    response_uri    bytea,
    response_hash   bytea,
    tag             bytea,
    responded_block bigint,
    responded_log_index integer,
    response_count  integer NOT NULL DEFAULT 0,
    PRIMARY KEY (chain_id, agent_id, contract, request_hash)
);
CREATE INDEX validation_page ON validation (chain_id, agent_id, requested_block, requested_log_index);

-- Good facts whose subject we did not hold when their turn came.
CREATE TABLE unattached (
    chain_id     bigint  NOT NULL,
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    kind         text    NOT NULL,
    agent_id     bigint  NOT NULL,
    reason       text    NOT NULL CHECK (reason IN ('unknown-agent', 'unknown-feedback', 'unknown-request', 'twice')),
    PRIMARY KEY (chain_id, block_number, log_index)
);
CREATE INDEX unattached_by_agent ON unattached (chain_id, agent_id);

-- Out -----------------------------------------------------------------------------------------

-- Gapless per chain. `extend`: the facts of from_block..to_block are the content. `retract`: everything
-- at or above from_block is taken back, and `retracted` carries it. `refold`: state was folded again
-- (rebuild, quarantine replay); the facts from from_block on are to be read again.
CREATE TABLE outbox (
    chain_id   bigint NOT NULL,
    position   bigint NOT NULL,
    kind       text   NOT NULL CHECK (kind IN ('extend', 'retract', 'refold')),
    from_block bigint NOT NULL,
    to_block   bigint NOT NULL,
    block_hash bytea,
    fact_count bigint NOT NULL,
    retracted  jsonb,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, position)
);
CREATE INDEX outbox_by_time ON outbox (written_at);

-- Coverage: what was checked against the chain, and how it came out.
CREATE TABLE coverage (
    chain_id       bigint PRIMARY KEY REFERENCES chain,
    state          text   NOT NULL CHECK (state IN ('proven', 'single-source', 'gap', 'unknown')),
    checked_block  bigint NOT NULL,
    checked_at     timestamptz NOT NULL DEFAULT now(),
    agents_held    bigint NOT NULL,
    agents_on_chain bigint,
    findings       jsonb  NOT NULL DEFAULT '[]',
    operators      text[] NOT NULL DEFAULT '{}'
);

-- Counts per chain; refreshed concurrently on a schedule, its age exported.
CREATE MATERIALIZED VIEW network AS
SELECT c.chain_id,
       (SELECT count(*) FROM agent a WHERE a.chain_id = c.chain_id) AS agent_count,
       (SELECT count(DISTINCT owner) FROM agent a WHERE a.chain_id = c.chain_id) AS owner_count,
       s.feedback_count, s.revoked_count, s.response_count, s.rated_agent_count, s.validation_count,
       (SELECT count(*) FROM quarantine q WHERE q.chain_id = c.chain_id) AS quarantined_count,
       (SELECT count(*) FROM unattached u WHERE u.chain_id = c.chain_id) AS unattached_count,
       k.block_number, k.block_hash, k.block_time, k.final_block,
       now() AS counted_at
  FROM chain c
  JOIN checkpoint k USING (chain_id)
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(feedback_count), 0)::bigint AS feedback_count,
              coalesce(sum(revoked_count), 0)::bigint AS revoked_count,
              coalesce(sum(response_count), 0)::bigint AS response_count,
              coalesce(sum(validation_count), 0)::bigint AS validation_count,
              count(*) FILTER (WHERE feedback_count > revoked_count) AS rated_agent_count
         FROM agent_stats s WHERE s.chain_id = c.chain_id
       ) s;
CREATE UNIQUE INDEX network_by_chain ON network (chain_id);
