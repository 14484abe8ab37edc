-- 0003 acting: accounts, keys, wallets, operations on the chain, payments.
--
-- Why      Whoever may act is known, what they asked of the chain is never lost and never sent twice, and a
--          payment counts once.
-- Writer   api (accounts, keys, new operations, claims), ingest (what became of operations and claims).
-- Lock     SHARE on `validation`, which is small, and on `metadata_set` (an entry or two for each agent; seconds),
--          while an index of each is made; else creates only.
-- Backfill none. Payments claimed by feedback files that were read before are found by the payment worker.
-- Undo     drop the tables. Accounts, keys and signed transactions are in no chain: keep a dump.
--
-- Nothing here has a foreign key to `chain`: a chain can be forgotten, and what belongs to it goes by `forget`.

-- Who may act ---------------------------------------------------------------------------------

CREATE TABLE account (
    account_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid           uuid    NOT NULL UNIQUE DEFAULT gen_random_uuid(),   -- how the outside names it
    name           text    NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    tier           text    NOT NULL DEFAULT 'free' CHECK (tier IN ('free', 'pro', 'enterprise')),
    created_at     timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz
);

-- A wallet belongs to one account at a time. chain_id 0: a key of its own, which acts on every chain; else the chain
-- on which a contract said yes (ERC-1271), for nobody knows who answers under that address elsewhere.
CREATE TABLE account_wallet (
    address    bytea  NOT NULL CHECK (octet_length(address) = 20),
    chain_id   bigint NOT NULL DEFAULT 0,
    account_id bigint NOT NULL REFERENCES account,
    proof      text   NOT NULL CHECK (proof IN ('signature', 'erc1271', 'erc6492')),
    proved_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (address, chain_id)
);
CREATE INDEX account_wallet_by_account ON account_wallet (account_id);

-- A wallet of the server's signer acts for one account, which the operator chose: whoever acts by it controls every
-- agent that it owns.
CREATE TABLE signer_grant (
    address    bytea  PRIMARY KEY CHECK (octet_length(address) = 20),
    account_id bigint NOT NULL REFERENCES account,
    granted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX signer_grant_by_account ON signer_grant (account_id);

-- The secret is not here: HMAC-SHA-256 of it, under a pepper that is not in the database.
CREATE TABLE api_key (
    key_id         text   PRIMARY KEY CHECK (length(key_id) = 8),
    account_id     bigint NOT NULL REFERENCES account,
    name           text   NOT NULL DEFAULT '',
    kind           text   NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'session')),
    scopes         text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'link', 'audit', 'admin']),
    secret_hash    bytea  NOT NULL CHECK (octet_length(secret_hash) = 32),
    pepper_version text   NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz,
    last_used_at   timestamptz,                        -- to a minute
    replaced_by    text REFERENCES api_key             -- rotated: both work until expires_at
);
CREATE INDEX api_key_by_account ON api_key (account_id, created_at);
CREATE INDEX api_key_by_replacement ON api_key (replaced_by) WHERE replaced_by IS NOT NULL;  -- sessions are pruned

-- A nonce of ours that waits to be signed, once (EIP-4361).
CREATE TABLE wallet_challenge (
    nonce      text   PRIMARY KEY,
    account_id bigint REFERENCES account,              -- null: to sign in, not to add a wallet
    address    bytea  NOT NULL CHECK (octet_length(address) = 20),
    chain_id   bigint NOT NULL,
    message    text   NOT NULL,                        -- as it was given out
    issued_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX wallet_challenge_by_time ON wallet_challenge (expires_at);

-- The first answer to a request with an Idempotency-Key, kept a day.
CREATE TABLE idempotency (
    account_id   bigint NOT NULL REFERENCES account,
    key_hash     bytea  NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash bytea  NOT NULL CHECK (octet_length(request_hash) = 32),  -- method, path, body
    started_at   timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz NOT NULL,                 -- whoever began is taken for dead afterwards
    attempt      uuid   NOT NULL,                      -- who holds the lock
    status       smallint,                             -- null: no answer yet
    headers      jsonb,
    body         bytea,
    PRIMARY KEY (account_id, key_hash)
);
CREATE INDEX idempotency_by_time ON idempotency (started_at);

-- Registration files we serve ourselves, by their hash.
CREATE TABLE hosted_file (
    sha256     bytea  PRIMARY KEY CHECK (octet_length(sha256) = 32),
    content    bytea  NOT NULL,
    media_type text   NOT NULL,
    account_id bigint NOT NULL REFERENCES account,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hosted_file_by_account ON hosted_file (account_id);

-- What was asked of the chain -------------------------------------------------------------------

-- One write: 1..n transactions of one sender, in order.
CREATE TABLE operation (
    operation_id uuid   PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id   bigint NOT NULL REFERENCES account,
    chain_id     bigint NOT NULL,
    kind         text   NOT NULL CHECK (kind IN ('register', 'update', 'wallet', 'feedback', 'revoke', 'response',
                        'validation-request', 'validation-response')),
    mode         text   NOT NULL CHECK (mode IN ('client', 'managed')),  -- who signs
    sender       bytea  NOT NULL CHECK (octet_length(sender) = 20),
    agent_id     bigint,                               -- null: not known before the registration is in a block
    request      jsonb  NOT NULL,                      -- what was asked, for people and for preparing it again
    state        text   NOT NULL CHECK (state IN ('prepared', 'submitted', 'included', 'final', 'failed', 'dropped',
                        'orphaned', 'partly_applied')),
    due_at       timestamptz,                          -- when to look again; null: nothing to wait for
    claimed_until timestamptz,                         -- a watcher is at it
    claimed_by   uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX operation_by_account ON operation (account_id, created_at, operation_id);
CREATE INDEX operation_due ON operation (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX operation_by_chain ON operation (chain_id);
-- Counts what an account has not signed yet, and finds what it never will.
CREATE INDEX operation_prepared ON operation (account_id, updated_at) WHERE state = 'prepared';
-- What the signer spent for an account of late.
CREATE INDEX operation_managed ON operation (account_id, chain_id, updated_at) WHERE mode = 'managed';

-- The hosted files that its calls name, and by which URI: nobody else may need them.
CREATE TABLE operation_file (
    operation_id uuid  NOT NULL REFERENCES operation ON DELETE CASCADE,
    sha256       bytea NOT NULL REFERENCES hosted_file,
    uri          bytea NOT NULL,
    PRIMARY KEY (operation_id, sha256)
);
CREATE INDEX operation_file_by_file ON operation_file (sha256);

-- One transaction of it.
CREATE TABLE operation_step (
    operation_id uuid     NOT NULL REFERENCES operation ON DELETE CASCADE,
    step         smallint NOT NULL CHECK (step >= 1),
    function     text     NOT NULL,                    -- canonical signature
    contract     bytea    NOT NULL,
    calldata     bytea,                                -- null: not known yet, see `template`
    template     jsonb,                                -- how calldata follows from what is not known yet
    summary      text     NOT NULL,
    state        text     NOT NULL DEFAULT 'prepared' CHECK (state IN ('prepared', 'submitted', 'included', 'final',
                          'failed', 'dropped', 'orphaned')),
    nonce        bigint,                               -- as prepared; what was signed stands with the signed one
    gas          bigint,
    max_fee_wei  numeric,
    priority_fee_wei numeric,
    tx_hash      bytea,                                -- the one in the block, else the newest signed one
    block_number bigint,
    block_hash   bytea,
    gas_used     bigint,
    reason       text,                                 -- why it failed or was dropped, decoded
    problem      text,                                 -- what holds it up, while it is not over
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation_id, step)
);

-- Every signed transaction we ever held. Stored before it is sent; sent again only as these very bytes.
CREATE TABLE operation_transaction (
    chain_id     bigint   NOT NULL,
    tx_hash      bytea    NOT NULL CHECK (octet_length(tx_hash) = 32),
    operation_id uuid     NOT NULL,
    step         smallint NOT NULL,
    sender       bytea    NOT NULL,
    nonce        bigint   NOT NULL,
    gas          bigint   NOT NULL,
    max_fee_wei  numeric  NOT NULL,
    priority_fee_wei numeric NOT NULL,
    raw          bytea    NOT NULL,
    signed_at    timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,                          -- first taken by a node
    send_count   integer  NOT NULL DEFAULT 0,          -- how often it was offered to a node
    fate         text     NOT NULL DEFAULT 'live' CHECK (fate IN ('live', 'refused', 'included', 'superseded')),
    error        text,                                 -- what a node said last
    used_block   bigint,                               -- in a block at or below it the nonce was used; null: it was not
    settled      boolean NOT NULL DEFAULT false,       -- that block is final: what became of it stays
    PRIMARY KEY (chain_id, tx_hash),
    FOREIGN KEY (operation_id, step) REFERENCES operation_step ON DELETE CASCADE
);
CREATE INDEX operation_transaction_by_step ON operation_transaction (operation_id, step);
CREATE INDEX operation_transaction_by_nonce ON operation_transaction (chain_id, sender, nonce);

-- What happened to each step, in order: also what a reorganisation undid.
CREATE TABLE operation_event (
    operation_id uuid     NOT NULL,
    number       integer  NOT NULL,                    -- 1.. per operation
    step         smallint NOT NULL,
    state        text     NOT NULL,
    tx_hash      bytea,
    block_number bigint,
    block_hash   bytea,
    detail       text,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation_id, number),
    FOREIGN KEY (operation_id, step) REFERENCES operation_step ON DELETE CASCADE
);

-- A validator answers by the request's hash alone.
CREATE INDEX validation_by_hash ON validation (request_hash);

-- Payments --------------------------------------------------------------------------------------

-- Somebody says that a transaction paid an agent. By an account, or by a feedback file.
CREATE TABLE payment_claim (
    claim_id       uuid   PRIMARY KEY DEFAULT gen_random_uuid(),
    chain_id       bigint NOT NULL,                    -- of the agent
    agent_id       bigint NOT NULL,
    pay_chain_id   bigint NOT NULL,                    -- of the transaction
    tx_hash        bytea  NOT NULL CHECK (octet_length(tx_hash) = 32),
    log_index      integer,                            -- null: any transfer of it to the agent
    account_id     bigint REFERENCES account,          -- who linked it; null: a feedback file did
    feedback_block bigint,                             -- the feedback whose file says so: its fact
    feedback_log_index integer,
    client         bytea,
    feedback_index bigint,
    feedback_is_final boolean NOT NULL DEFAULT false,  -- of an account's claim: means nothing
    claimed_payer  bytea,                              -- as the claim has it; null: not said
    claimed_payee  bytea,
    proved         bytea[] NOT NULL DEFAULT '{}',      -- wallets that the account had proved when it linked
    state          text   NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'included', 'confirmed', 'refused')),
    reason         text,                               -- of a refusal: a stable code
    detail         text,                               -- the same for people
    tries          integer NOT NULL DEFAULT 0,
    due_at         timestamptz DEFAULT now(),          -- null: settled
    created_at     timestamptz NOT NULL DEFAULT now(),
    checked_at     timestamptz,
    CHECK ((account_id IS NULL) <> (feedback_block IS NULL))
);
CREATE UNIQUE INDEX payment_claim_by_feedback ON payment_claim (chain_id, feedback_block, feedback_log_index)
    WHERE feedback_block IS NOT NULL;
-- Apart, so that however many files name payments, those who ask are served.
CREATE INDEX payment_claim_due ON payment_claim (due_at) WHERE due_at IS NOT NULL AND account_id IS NULL;
CREATE INDEX payment_claim_due_linked ON payment_claim (due_at) WHERE due_at IS NOT NULL AND account_id IS NOT NULL;
CREATE INDEX payment_claim_by_agent ON payment_claim (chain_id, agent_id, created_at, claim_id);
CREATE INDEX payment_claim_by_transaction ON payment_claim (pay_chain_id, tx_hash);
CREATE INDEX payment_claim_by_account ON payment_claim (account_id) WHERE account_id IS NOT NULL;
-- Serves the search for feedback that a reorganisation took away.
CREATE INDEX payment_claim_unsettled ON payment_claim (chain_id, feedback_block)
    WHERE feedback_block IS NOT NULL AND NOT feedback_is_final;

-- Feedback whose file has to be looked at for a payment, because it was judged (again).
CREATE TABLE payment_look (
    chain_id     bigint  NOT NULL,
    block_number bigint  NOT NULL,
    log_index    integer NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index)
);

-- Serves the question whether a wallet is that of several agents. Other lengths are no addresses, and too long.
CREATE INDEX metadata_set_by_wallet ON metadata_set (chain_id, value, agent_id)
    WHERE key = 'agentWallet'::bytea AND octet_length(value) IN (20, 32);

-- Where endpoints wanted to be paid (x402), and from when to when they were seen to say so.
CREATE TABLE endpoint_payee (
    endpoint_id   bigint NOT NULL,
    network       text   NOT NULL,
    address       bytea  NOT NULL CHECK (octet_length(address) = 20),
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, network, address)
);

-- A transfer that was found on the chain. It counts once, for one agent and at most one feedback.
CREATE TABLE payment (
    pay_chain_id bigint  NOT NULL,
    tx_hash      bytea   NOT NULL,
    log_index    integer NOT NULL,
    chain_id     bigint  NOT NULL,                     -- of the agent
    agent_id     bigint  NOT NULL,
    claim_id     uuid    NOT NULL REFERENCES payment_claim,          -- the claim that brought it
    feedback_claim_id uuid UNIQUE REFERENCES payment_claim,          -- the feedback it pays for
    token        bytea   NOT NULL,
    payer        bytea   NOT NULL,
    payee        bytea   NOT NULL,
    payee_basis  text    NOT NULL CHECK (payee_basis IN ('wallet', 'owner', 'declared')),
    amount       numeric NOT NULL,                     -- in the token's smallest unit
    is_final     boolean NOT NULL,
    block_number bigint  NOT NULL,
    block_hash   bytea   NOT NULL,
    paid_at      timestamptz NOT NULL,                 -- time of the block
    PRIMARY KEY (pay_chain_id, tx_hash, log_index)
);
CREATE INDEX payment_by_agent ON payment (chain_id, agent_id, paid_at, pay_chain_id, tx_hash, log_index);
CREATE INDEX payment_by_claim ON payment (claim_id);
