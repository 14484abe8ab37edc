-- 0002 documents: what stands behind URIs, what was found there, and how agents are searched by it.
--
-- Why      An agent's URI is a pointer. These tables hold what it leads to: every URI ever said, every
--          attempt to read it, every distinct document, what was found about each agent, its endpoints.
-- Writer   ingest's crawler and prober: one of each per database, by session lock; never the indexer.
-- Lock     none on existing tables (creates only).
-- Backfill the crawler walks the facts from each chain's first block (`trail`).
-- Undo     drop the tables; all but the history of mutable URIs can be found again.
--
-- Rules: what strangers wrote stands as bytea or as text that we made of it (no NUL, no lone
-- surrogate, bounded length), so that no index can fail on it. None of these tables belongs to the state hash.

CREATE EXTENSION IF NOT EXISTS unaccent;

-- English stems, without accents. Other scripts pass through; the words we store are prepared so that
-- scripts without spaces are found too.
CREATE TEXT SEARCH CONFIGURATION renown (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION renown
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart, word, hword, hword_part
    WITH unaccent, english_stem;

-- How far the facts of a chain have been read for their URIs ------------------------------------

CREATE TABLE trail (
    chain_id     bigint PRIMARY KEY REFERENCES chain ON DELETE CASCADE,
    epoch        bigint NOT NULL,
    position     bigint NOT NULL,       -- outbox entries up to it are taken in
    block_number bigint NOT NULL,       -- facts at or below it are taken in
    block_hash   bytea,                 -- null where that block is not stored
    block_time   timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- URIs and what reading them gave ---------------------------------------------------------------

-- Content-addressed: equal bytes are one document, whoever serves them. Never deleted.
CREATE TABLE document (
    document_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256       bytea    NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    raw          bytea    NOT NULL,     -- as served, after the transfer's own coding is taken off
    size_bytes   integer  NOT NULL,
    class        text     NOT NULL,     -- what kind of thing it is, see spec.documents
    reading      text     NOT NULL CHECK (reading IN ('strict', 'tolerant', 'none')),
    content      jsonb,                 -- the JSON, sanitised; null where it is none
    registration jsonb,                 -- normalised; null where it is none
    findings     jsonb    NOT NULL DEFAULT '[]',  -- [{code, path, detail}], of the bytes alone
    template     bytea,                 -- equal for files that differ in what a mint fills in
    reader       smallint NOT NULL,     -- version of the reader; older rows are read again
    stored_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX document_by_reader ON document (reader);

CREATE TABLE uri (
    uri_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash          bytea    NOT NULL UNIQUE CHECK (octet_length(hash) = 32),  -- sha256 of uri
    uri           bytea    NOT NULL,
    kind          text     NOT NULL CHECK (kind IN ('https', 'http', 'ipfs', 'ar', 'data', 'json', 'unsupported')),
    host          text     NOT NULL,    -- whose patience it costs: a host, 'ipfs:', 'ar:'; '' for none
    fixed         boolean  NOT NULL,    -- the URI determines the bytes (inline or content-addressed)
    stage         smallint NOT NULL,    -- 0 an agent's, never tried; 1 another new file; 2 tried before
    due_at        timestamptz,          -- null: not to be fetched (again)
    attempts      integer  NOT NULL DEFAULT 0,
    failures      integer  NOT NULL DEFAULT 0,   -- in a row, up to the last attempt
    unchanged     integer  NOT NULL DEFAULT 0,   -- successes in a row that gave the same document
    attempted_at  timestamptz,
    outcome       text,                 -- of the last attempt, see offchain.fetched
    reason        text,
    status        integer,
    document_id   bigint REFERENCES document,    -- of the last success
    fetched_at    timestamptz,                   -- when that was
    verified      boolean,              -- content hash checked; null where there is none to check
    etag          text,
    last_modified text,
    first_seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);
CREATE INDEX uri_due ON uri (stage, host, due_at, uri_id) WHERE due_at IS NOT NULL;
CREATE INDEX uri_by_document ON uri (document_id) WHERE document_id IS NOT NULL;

-- Every attempt. Old ones shrink to changes; `resolution_day` keeps the counts of what went.
CREATE TABLE resolution (
    uri_id       bigint      NOT NULL,
    attempted_at timestamptz NOT NULL,
    outcome      text        NOT NULL,
    reason       text,
    status       integer,
    size_bytes   integer,
    duration_ms  integer     NOT NULL,
    document_id  bigint,                -- what was served; null on failure
    verified     boolean,
    final_url    text,                  -- where redirects ended, if not at the URI
    PRIMARY KEY (uri_id, attempted_at)
);
CREATE INDEX resolution_by_time ON resolution USING brin (attempted_at);

CREATE TABLE resolution_day (
    uri_id   bigint  NOT NULL,
    day      date    NOT NULL,
    attempts integer NOT NULL,
    good     integer NOT NULL,
    PRIMARY KEY (uri_id, day)
);

-- Hosts that asked for rest, or that fail. No row: nothing is held against it.
CREATE TABLE host (
    host       text PRIMARY KEY,
    failures   integer     NOT NULL DEFAULT 0,
    rest_until timestamptz NOT NULL,
    reason     text
);

-- Files that feedback, responses and validations name. Keyed by the fact that names them.
CREATE TABLE attachment (
    chain_id     bigint  NOT NULL,
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    role         text    NOT NULL CHECK (role IN ('feedback', 'response', 'request', 'validation')),
    agent_id     bigint  NOT NULL,
    uri_id       bigint  NOT NULL,
    content_hash bytea,                 -- as the event has it; null where it has none or zero
    document_id  bigint,
    verdict      text    NOT NULL DEFAULT 'pending' CHECK (verdict IN
                 ('pending', 'absent', 'bytes', 'jcs', 'agent0-py', 'agent0-ts', 'content-id', 'mismatch', 'unfetchable')),
    findings     jsonb   NOT NULL DEFAULT '[]',
    checked_at   timestamptz,
    PRIMARY KEY (chain_id, block_number, log_index)
);
CREATE INDEX attachment_by_uri ON attachment (uri_id);
CREATE INDEX attachment_pending ON attachment (uri_id) WHERE verdict = 'pending';
CREATE INDEX attachment_by_agent ON attachment (chain_id, agent_id, block_number, log_index);

-- What an agent says of itself, as found: one row per agent, all that search and lists need ---------

CREATE TABLE agent_profile (
    chain_id       bigint   NOT NULL,
    agent_id       bigint   NOT NULL,
    uri_id         bigint,              -- of the URI it was made of; null: none said, or empty
    document_id    bigint,
    state          text     NOT NULL CHECK (state IN
                   ('none', 'pending', 'unsupported', 'unreachable', 'unreadable', 'foreign', 'tolerant', 'strict')),
    name           text,
    description    text,                -- cut
    image          text,
    name_key       text,                -- how names are compared; null without a name
    skeleton       text,                -- UTS #39, of the name
    x402           boolean,             -- null: not said
    active         boolean,             -- null: not said
    alive          boolean,             -- null: never probed
    findings       jsonb    NOT NULL DEFAULT '[]',  -- the document's and those about identity
    domains        text[]   NOT NULL DEFAULT '{}',  -- verified ones
    terms          text[]   NOT NULL DEFAULT '{}',  -- `kind=mcp`, `chain=8453`, `finding=…`: filters and facets
    words          tsvector NOT NULL DEFAULT '',    -- weighted text, and the terms as lexemes
    template       bytea,
    leads          boolean  NOT NULL DEFAULT true,  -- first registered of its template's agents
    quality        smallint NOT NULL DEFAULT 0,     -- the order in which candidates are looked at; no score
    owner          bytea    NOT NULL,
    wallet         bytea,
    feedback_count bigint   NOT NULL DEFAULT 0,     -- live: neither revoked nor superseded
    client_count   bigint   NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL,
    active_at      timestamptz NOT NULL,            -- newest fact about it
    revision       bigint   NOT NULL,               -- rises with every change of this row
    changed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, agent_id)
) WITH (fillfactor = 80);
CREATE SEQUENCE profile_revision;
CREATE INDEX agent_profile_words ON agent_profile USING gin (words);
-- The same for the best: a search looks for its candidates there first (store.search_plan). The sum
-- keeps the index by quality out of their conditions.
CREATE INDEX agent_profile_words_64 ON agent_profile USING gin (words) WHERE quality + 0 >= 64;
CREATE INDEX agent_profile_words_88 ON agent_profile USING gin (words) WHERE quality + 0 >= 88;
CREATE INDEX agent_profile_words_104 ON agent_profile USING gin (words) WHERE quality + 0 >= 104;
CREATE INDEX agent_profile_words_120 ON agent_profile USING gin (words) WHERE quality + 0 >= 120;
CREATE INDEX agent_profile_words_144 ON agent_profile USING gin (words) WHERE quality + 0 >= 144;
CREATE INDEX agent_profile_words_176 ON agent_profile USING gin (words) WHERE quality + 0 >= 176;
CREATE INDEX agent_profile_words_200 ON agent_profile USING gin (words) WHERE quality + 0 >= 200;
CREATE INDEX agent_profile_by_quality ON agent_profile (quality DESC, chain_id DESC, agent_id DESC);
CREATE INDEX agent_profile_by_age ON agent_profile (created_at DESC, chain_id DESC, agent_id DESC);
CREATE INDEX agent_profile_by_activity ON agent_profile (active_at DESC, chain_id DESC, agent_id DESC);
CREATE INDEX agent_profile_by_feedback ON agent_profile (feedback_count DESC, chain_id DESC, agent_id DESC);
CREATE INDEX agent_profile_by_uri ON agent_profile (uri_id) WHERE uri_id IS NOT NULL;
CREATE INDEX agent_profile_by_template ON agent_profile (template, created_at, chain_id, agent_id) WHERE template IS NOT NULL;
CREATE INDEX agent_profile_leading ON agent_profile (template) WHERE leads AND template IS NOT NULL;
CREATE INDEX agent_profile_by_document ON agent_profile (document_id, created_at, chain_id, agent_id) WHERE document_id IS NOT NULL;
CREATE INDEX agent_profile_by_skeleton ON agent_profile (skeleton) WHERE skeleton IS NOT NULL;
-- Names worth guarding: of agents with a verified domain or ten distinct clients.
CREATE INDEX agent_profile_guarded ON agent_profile (skeleton, created_at, chain_id, agent_id)
    WHERE skeleton IS NOT NULL AND (domains <> '{}' OR client_count >= 10);

-- Agents whose row has to be made anew, because something it is made of changed.
CREATE TABLE profile_due (
    chain_id bigint NOT NULL,
    agent_id bigint NOT NULL,
    PRIMARY KEY (chain_id, agent_id)
);

-- Distinct names, for searches that were misspelt.
CREATE TABLE agent_name (
    name_key    text PRIMARY KEY,
    agent_count bigint NOT NULL
);
CREATE INDEX agent_name_alike ON agent_name USING gin (name_key gin_trgm_ops);

-- A host that an agent claims as its own, and what that host's well-known file says. The file is a `uri`.
CREATE TABLE agent_domain (
    chain_id   bigint NOT NULL,
    agent_id   bigint NOT NULL,
    host       text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('pending', 'confirmed', 'contradicted', 'missing', 'unreachable')),
    by_uri     boolean NOT NULL,        -- the registration itself is served there
    uri_id     bigint,                  -- of the well-known file
    checked_at timestamptz,
    alone      boolean NOT NULL DEFAULT false,  -- confirmed by nothing but the file served there
    PRIMARY KEY (chain_id, agent_id, host)
);
CREATE INDEX agent_domain_serving ON agent_domain (host) WHERE by_uri;
CREATE INDEX agent_domain_by_uri ON agent_domain (uri_id) WHERE uri_id IS NOT NULL;

-- Endpoints ------------------------------------------------------------------------------------

-- What agents say they can be called at, once per protocol and URL, and how that went when asked.
CREATE TABLE endpoint (
    endpoint_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash          bytea NOT NULL UNIQUE,      -- sha256 of protocol, NUL, url
    protocol      text  NOT NULL CHECK (protocol IN ('mcp', 'a2a', 'x402', 'web')),
    url           text  NOT NULL,
    host          text  NOT NULL,
    verdict       text  NOT NULL DEFAULT 'unknown' CHECK (verdict IN ('unknown', 'alive', 'paywalled', 'dead', 'hollow', 'refused')),
    rounds        integer NOT NULL DEFAULT 0, -- in a row that agree on what the next verdict would be
    leaning       text,                       -- what those rounds say
    due_at        timestamptz,                -- null: not to be probed
    checked_at    timestamptz,
    verdict_at    timestamptz,                -- since when the verdict holds
    latency_ms    integer,
    checks        bigint NOT NULL DEFAULT 0,
    good_checks   bigint NOT NULL DEFAULT 0,
    capabilities  jsonb,                      -- tools, skills, prices: as the last good answer had them
    first_seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);
CREATE INDEX endpoint_due ON endpoint (host, due_at, endpoint_id) WHERE due_at IS NOT NULL;

CREATE TABLE agent_endpoint (
    chain_id    bigint  NOT NULL,
    agent_id    bigint  NOT NULL,
    position    integer NOT NULL,             -- of the service in its file
    protocol    text    NOT NULL,
    endpoint_id bigint  NOT NULL,
    PRIMARY KEY (chain_id, agent_id, position, protocol)
);
CREATE INDEX agent_endpoint_by_endpoint ON agent_endpoint (endpoint_id);

CREATE TABLE endpoint_check (
    endpoint_id bigint      NOT NULL,
    checked_at  timestamptz NOT NULL,
    good        boolean     NOT NULL,
    leaning     text        NOT NULL,
    outcome     text        NOT NULL,         -- of the fetch
    reason      text,
    status      integer,
    latency_ms  integer,
    PRIMARY KEY (endpoint_id, checked_at)
);
CREATE INDEX endpoint_check_by_time ON endpoint_check USING brin (checked_at);

CREATE TABLE endpoint_day (
    endpoint_id    bigint  NOT NULL,
    day            date    NOT NULL,
    checks         integer NOT NULL,
    good           integer NOT NULL,
    latency_ms_sum bigint  NOT NULL,          -- of those that answered
    answered       integer NOT NULL,
    PRIMARY KEY (endpoint_id, day)
);

-- How many agents of each chain have each term; refreshed on a schedule, its age shown.
CREATE MATERIALIZED VIEW term_count AS
SELECT p.chain_id, t.term, count(*) AS agent_count, now() AS counted_at
  FROM agent_profile p CROSS JOIN LATERAL unnest(p.terms) AS t (term)
 WHERE split_part(t.term, '=', 1) NOT IN ('owner', 'wallet')  -- as many as agents
 GROUP BY p.chain_id, t.term;
CREATE UNIQUE INDEX term_count_by_term ON term_count (term, chain_id);
