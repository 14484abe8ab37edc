-- 0006 rollups: what was paid to each agent as one row, and who leads among agents.
--
-- Why      Numbers about an agent cost what the answer costs, not what was paid to it; who leads is counted on a
--          schedule, not on read.
-- Writer   triggers on `payment` and `payment_claim`, in the transaction that writes there; refresh_view.
--          Each row that comes or goes costs about 0.1 ms: 60,000 payments by as many payers came in 8.1 s in the place
--          of 2.5, and went in 6.4 s in the place of 0.1.
-- Lock     SHARE ROW EXCLUSIVE on `payment_claim` and `payment` to the end: 6 to 11 s for a million payments, and some
--          5 s more for a million agents, whose leaderboards are made here, too.
-- Backfill all payments and claims are counted, and the leaderboards made, before it ends.
-- Undo     drop what is made here; all of it follows from other tables (`recount_payments`).
-- Needs    READ COMMITTED of whoever writes payments or claims: at REPEATABLE READ a commit fails where another's about
--          the same agent came before it.
--
-- None of these tables belongs to the state hash, and none is watched by the audit log: they follow from tables that
-- are, and nobody but their owner may write to them.

-- Claims before payments, as whoever settles takes them.
LOCK TABLE payment_claim, payment IN SHARE ROW EXCLUSIVE MODE;

-- What was paid ----------------------------------------------------------------------------------

-- No row: nothing was paid or claimed. All but the claims' counts is of payments that are in a block, final or not.
CREATE TABLE agent_payment_stats (
    chain_id            bigint NOT NULL,     -- of the agent
    agent_id            bigint NOT NULL,
    payment_count       bigint NOT NULL DEFAULT 0,
    final_payment_count bigint NOT NULL DEFAULT 0,
    paid_feedback_count bigint NOT NULL DEFAULT 0,
    payer_count         bigint NOT NULL DEFAULT 0,   -- distinct
    final_payer_count   bigint NOT NULL DEFAULT 0,   -- distinct, of final payments
    first_paid_at       timestamptz,
    last_paid_at        timestamptz,
    settled_claims      bigint NOT NULL DEFAULT 0,   -- for good, refused ones too
    good_claims         bigint NOT NULL DEFAULT 0,
    pending_claims      bigint NOT NULL DEFAULT 0,
    totals              text   NOT NULL DEFAULT '[]',  -- JSON, as it is given out: see payment_totals
    PRIMARY KEY (chain_id, agent_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- Amounts of different tokens cannot be added.
CREATE TABLE agent_payment_total (
    chain_id            bigint  NOT NULL,
    agent_id            bigint  NOT NULL,
    pay_chain_id        bigint  NOT NULL,
    token               bytea   NOT NULL,
    payment_count       bigint  NOT NULL,
    final_payment_count bigint  NOT NULL,
    amount              numeric NOT NULL,
    final_amount        numeric NOT NULL,
    PRIMARY KEY (chain_id, agent_id, pay_chain_id, token)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- Who paid, so that distinct payers stay right when payments go.
CREATE TABLE agent_payer (
    chain_id            bigint NOT NULL,
    agent_id            bigint NOT NULL,
    payer               bytea  NOT NULL,
    payment_count       bigint NOT NULL,
    final_payment_count bigint NOT NULL,
    PRIMARY KEY (chain_id, agent_id, payer)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- What a transaction changed so far; empty for everybody else. The rows above are shared by transactions that settle
-- different payments, so they are locked when nothing else will be: at commit, all at once, in the order of their
-- keys. Two transactions can wait for each other in no way then.
CREATE UNLOGGED TABLE payment_change (
    tx            xid8    NOT NULL DEFAULT pg_current_xact_id(),
    chain_id      bigint  NOT NULL,
    agent_id      bigint  NOT NULL,
    pay_chain_id  bigint,                    -- null: of a claim
    token         bytea,
    payer         bytea,
    payments      bigint  NOT NULL DEFAULT 0,
    finals        bigint  NOT NULL DEFAULT 0,
    paid_feedback bigint  NOT NULL DEFAULT 0,
    amount        numeric NOT NULL DEFAULT 0,
    final_amount  numeric NOT NULL DEFAULT 0,
    settled       bigint  NOT NULL DEFAULT 0,
    good          bigint  NOT NULL DEFAULT 0,
    pending       bigint  NOT NULL DEFAULT 0,
    wakes         boolean NOT NULL           -- one row of a statement does
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX payment_change_by_agent ON payment_change (tx, chain_id, agent_id);

-- What was paid to an agent by chain and token. Text: nobody asks for parts of it, and to write jsonb out takes time.
CREATE FUNCTION payment_totals(of_chain bigint, of_agent bigint, finals_only boolean) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'chain_id', t.pay_chain_id, 'token', '0x' || encode(t.token, 'hex'),
               'amount', CASE WHEN finals_only THEN t.final_amount ELSE t.amount END::text,
               'count', CASE WHEN finals_only THEN t.final_payment_count ELSE t.payment_count END)
               ORDER BY t.pay_chain_id, t.token), '[]')::text
      FROM agent_payment_total t
     WHERE t.chain_id = of_chain AND t.agent_id = of_agent AND (t.final_payment_count > 0 OR NOT finals_only)
$$;

CREATE FUNCTION payment_noted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_change (chain_id, agent_id, pay_chain_id, token, payer, payments, finals, paid_feedback,
                                    amount, final_amount, wakes)
        SELECT chain_id, agent_id, pay_chain_id, token, payer, count(*), count(*) FILTER (WHERE is_final),
               count(feedback_claim_id), sum(amount), coalesce(sum(amount) FILTER (WHERE is_final), 0),
               row_number() OVER () = 1
          FROM came GROUP BY chain_id, agent_id, pay_chain_id, token, payer;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO payment_change (chain_id, agent_id, pay_chain_id, token, payer, payments, finals, paid_feedback,
                                    amount, final_amount, wakes)
        SELECT chain_id, agent_id, pay_chain_id, token, payer, -count(*), -count(*) FILTER (WHERE is_final),
               -count(feedback_claim_id), -sum(amount), -coalesce(sum(amount) FILTER (WHERE is_final), 0),
               row_number() OVER () = 1
          FROM went GROUP BY chain_id, agent_id, pay_chain_id, token, payer;
    ELSE
        INSERT INTO payment_change (chain_id, agent_id, pay_chain_id, token, payer, payments, finals, paid_feedback,
                                    amount, final_amount, wakes)
        SELECT chain_id, agent_id, pay_chain_id, token, payer, sum(n), coalesce(sum(n) FILTER (WHERE is_final), 0),
               coalesce(sum(n) FILTER (WHERE feedback_claim_id IS NOT NULL), 0), sum(n * amount),
               coalesce(sum(n * amount) FILTER (WHERE is_final), 0), row_number() OVER () = 1
          FROM (SELECT 1 AS n, came.* FROM came UNION ALL SELECT -1, went.* FROM went) b
         GROUP BY chain_id, agent_id, pay_chain_id, token, payer;
    END IF;
    RETURN NULL;
END $$;

-- A refusal is for good when nobody will look again.
CREATE FUNCTION payment_claim_noted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO payment_change (chain_id, agent_id, settled, good, pending, wakes)
        SELECT chain_id, agent_id, count(*) FILTER (WHERE s), count(*) FILTER (WHERE state = 'confirmed'),
               count(*) FILTER (WHERE NOT s), row_number() OVER () = 1
          FROM (SELECT *, state = 'confirmed' OR state = 'refused' AND due_at IS NULL AS s FROM came) c
         GROUP BY chain_id, agent_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO payment_change (chain_id, agent_id, settled, good, pending, wakes)
        SELECT chain_id, agent_id, -count(*) FILTER (WHERE s), -count(*) FILTER (WHERE state = 'confirmed'),
               -count(*) FILTER (WHERE NOT s), row_number() OVER () = 1
          FROM (SELECT *, state = 'confirmed' OR state = 'refused' AND due_at IS NULL AS s FROM went) c
         GROUP BY chain_id, agent_id;
    ELSE
        -- Most updates only say when to look again.
        INSERT INTO payment_change (chain_id, agent_id, settled, good, pending, wakes)
        SELECT chain_id, agent_id, settled, good, pending, row_number() OVER () = 1
          FROM (SELECT chain_id, agent_id, coalesce(sum(n) FILTER (WHERE s), 0) AS settled,
                       coalesce(sum(n) FILTER (WHERE state = 'confirmed'), 0) AS good,
                       coalesce(sum(n) FILTER (WHERE NOT s), 0) AS pending
                  FROM (SELECT b.*, state = 'confirmed' OR state = 'refused' AND due_at IS NULL AS s
                          FROM (SELECT 1 AS n, came.* FROM came UNION ALL SELECT -1, went.* FROM went) b) c
                 GROUP BY chain_id, agent_id) d
         WHERE (settled, good, pending) <> (0, 0, 0);
    END IF;
    RETURN NULL;
END $$;

-- At commit, once however many statements there were: those that come after find nothing left. In the order of agents,
-- ten thousand at a time: who forgets a chain drops millions. To the planner payment_change looks empty, whatever dead
-- rows it has until it is vacuumed: it must go by the index.
CREATE FUNCTION payment_change_applied() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    me         xid8 := pg_current_xact_id();
    mine       payment_change[];
    from_chain bigint := 0;
    from_agent bigint := 0;
BEGIN
LOOP
    WITH taken AS (
        DELETE FROM payment_change
         WHERE ctid = ANY (ARRAY(
               SELECT c.ctid FROM payment_change c
                WHERE c.tx = me AND (c.chain_id, c.agent_id) >= (from_chain, from_agent)
                ORDER BY c.tx, c.chain_id, c.agent_id LIMIT 10000))
        RETURNING *)
    SELECT array_agg(t::payment_change) INTO mine FROM taken t;
    EXIT WHEN mine IS NULL;

    -- Locks the agents' rows, in order. What follows sees all that others did before.
    INSERT INTO agent_payment_stats AS s (chain_id, agent_id, payment_count, final_payment_count, paid_feedback_count,
                                          settled_claims, good_claims, pending_claims)
    SELECT chain_id, agent_id, sum(payments), sum(finals), sum(paid_feedback), sum(settled), sum(good), sum(pending)
      FROM unnest(mine) GROUP BY chain_id, agent_id ORDER BY chain_id, agent_id
        ON CONFLICT (chain_id, agent_id) DO UPDATE
       SET payment_count = s.payment_count + excluded.payment_count,
           final_payment_count = s.final_payment_count + excluded.final_payment_count,
           paid_feedback_count = s.paid_feedback_count + excluded.paid_feedback_count,
           settled_claims = s.settled_claims + excluded.settled_claims,
           good_claims = s.good_claims + excluded.good_claims,
           pending_claims = s.pending_claims + excluded.pending_claims;

    IF EXISTS (SELECT FROM unnest(mine) WHERE pay_chain_id IS NOT NULL) THEN
        INSERT INTO agent_payment_total AS t (chain_id, agent_id, pay_chain_id, token, payment_count,
                                              final_payment_count, amount, final_amount)
        SELECT chain_id, agent_id, pay_chain_id, token, sum(payments), sum(finals), sum(amount), sum(final_amount)
          FROM unnest(mine) WHERE pay_chain_id IS NOT NULL GROUP BY chain_id, agent_id, pay_chain_id, token
            ON CONFLICT (chain_id, agent_id, pay_chain_id, token) DO UPDATE
           SET payment_count = t.payment_count + excluded.payment_count,
               final_payment_count = t.final_payment_count + excluded.final_payment_count,
               amount = t.amount + excluded.amount, final_amount = t.final_amount + excluded.final_amount;
        DELETE FROM agent_payment_total t
         USING (SELECT DISTINCT chain_id, agent_id, pay_chain_id, token FROM unnest(mine)
                 WHERE pay_chain_id IS NOT NULL) m
         WHERE (t.chain_id, t.agent_id, t.pay_chain_id, t.token)
             = (m.chain_id, m.agent_id, m.pay_chain_id, m.token) AND t.payment_count = 0;

        WITH change AS (
            SELECT m.chain_id, m.agent_id, m.payer, m.payments, m.finals, coalesce(o.payment_count, 0) AS payments_before,
                   coalesce(o.final_payment_count, 0) AS finals_before
              FROM (SELECT chain_id, agent_id, payer, sum(payments) AS payments, sum(finals) AS finals
                      FROM unnest(mine) WHERE payer IS NOT NULL GROUP BY chain_id, agent_id, payer) m
              LEFT JOIN agent_payer o USING (chain_id, agent_id, payer)
        ), kept AS (
            INSERT INTO agent_payer AS p (chain_id, agent_id, payer, payment_count, final_payment_count)
            SELECT chain_id, agent_id, payer, payments, finals FROM change
                ON CONFLICT (chain_id, agent_id, payer) DO UPDATE
               SET payment_count = p.payment_count + excluded.payment_count,
                   final_payment_count = p.final_payment_count + excluded.final_payment_count
        )
        UPDATE agent_payment_stats s
           SET payer_count = s.payer_count + d.payers, final_payer_count = s.final_payer_count + d.final_payers,
               totals = (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                    'chain_id', t.pay_chain_id, 'token', '0x' || encode(t.token, 'hex'),
                                    'amount', t.amount::text, 'count', t.payment_count)
                                    ORDER BY t.pay_chain_id, t.token), '[]')::text
                           FROM agent_payment_total t WHERE t.chain_id = s.chain_id AND t.agent_id = s.agent_id),
               first_paid_at = (SELECT min(x.paid_at) FROM payment x
                                 WHERE x.chain_id = s.chain_id AND x.agent_id = s.agent_id),
               last_paid_at = (SELECT max(x.paid_at) FROM payment x
                                WHERE x.chain_id = s.chain_id AND x.agent_id = s.agent_id)
          FROM (SELECT chain_id, agent_id,
                       count(*) FILTER (WHERE payments_before + payments > 0)
                       - count(*) FILTER (WHERE payments_before > 0) AS payers,
                       count(*) FILTER (WHERE finals_before + finals > 0)
                       - count(*) FILTER (WHERE finals_before > 0) AS final_payers
                  FROM change GROUP BY chain_id, agent_id) d
         WHERE (s.chain_id, s.agent_id) = (d.chain_id, d.agent_id);
        DELETE FROM agent_payer p
         USING (SELECT DISTINCT chain_id, agent_id, payer FROM unnest(mine) WHERE payer IS NOT NULL) m
         WHERE (p.chain_id, p.agent_id, p.payer) = (m.chain_id, m.agent_id, m.payer) AND p.payment_count = 0;
    END IF;

    DELETE FROM agent_payment_stats s
     USING (SELECT DISTINCT chain_id, agent_id FROM unnest(mine)) m
     WHERE (s.chain_id, s.agent_id) = (m.chain_id, m.agent_id)
       AND s.payment_count = 0 AND s.settled_claims = 0 AND s.pending_claims = 0;
    EXIT WHEN cardinality(mine) < 10000;
    SELECT chain_id, agent_id INTO from_chain, from_agent
      FROM unnest(mine) ORDER BY chain_id DESC, agent_id DESC LIMIT 1;
END LOOP;
    RETURN NULL;
END $$;

-- What payments and claims add up to, which is what the tables above have to hold.
CREATE VIEW v_payment_stats AS
SELECT chain_id, agent_id, coalesce(p.payment_count, 0) AS payment_count,
       coalesce(p.final_payment_count, 0) AS final_payment_count,
       coalesce(p.paid_feedback_count, 0) AS paid_feedback_count, coalesce(p.payer_count, 0) AS payer_count,
       coalesce(p.final_payer_count, 0) AS final_payer_count, p.first_paid_at, p.last_paid_at,
       coalesce(c.settled_claims, 0) AS settled_claims, coalesce(c.good_claims, 0) AS good_claims,
       coalesce(c.pending_claims, 0) AS pending_claims
  FROM (SELECT chain_id, agent_id, count(*) AS payment_count,
               count(*) FILTER (WHERE is_final) AS final_payment_count,
               count(feedback_claim_id) AS paid_feedback_count, count(DISTINCT payer) AS payer_count,
               count(DISTINCT payer) FILTER (WHERE is_final) AS final_payer_count,
               min(paid_at) AS first_paid_at, max(paid_at) AS last_paid_at
          FROM payment GROUP BY chain_id, agent_id) p
  FULL JOIN (SELECT chain_id, agent_id,
                    count(*) FILTER (WHERE state = 'confirmed' OR state = 'refused' AND due_at IS NULL)
                    AS settled_claims,
                    count(*) FILTER (WHERE state = 'confirmed') AS good_claims,
                    count(*) FILTER (WHERE NOT (state = 'confirmed' OR state = 'refused' AND due_at IS NULL))
                    AS pending_claims
               FROM payment_claim GROUP BY chain_id, agent_id) c USING (chain_id, agent_id);

-- Count everything anew: after rows were loaded past the triggers.
CREATE FUNCTION recount_payments() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Nobody is between a payment and its count then. Claims first, as whoever settles takes them.
    LOCK TABLE payment_claim, payment IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM payment_change WHERE tx = pg_current_xact_id();
    DELETE FROM agent_payment_total;
    DELETE FROM agent_payer;
    DELETE FROM agent_payment_stats;
    INSERT INTO agent_payment_total
    SELECT chain_id, agent_id, pay_chain_id, token, count(*), count(*) FILTER (WHERE is_final), sum(amount),
           coalesce(sum(amount) FILTER (WHERE is_final), 0)
      FROM payment GROUP BY chain_id, agent_id, pay_chain_id, token
     ORDER BY chain_id, agent_id, pay_chain_id, token;
    INSERT INTO agent_payer
    SELECT chain_id, agent_id, payer, count(*), count(*) FILTER (WHERE is_final)
      FROM payment GROUP BY chain_id, agent_id, payer ORDER BY chain_id, agent_id, payer;
    INSERT INTO agent_payment_stats (chain_id, agent_id, payment_count, final_payment_count, paid_feedback_count,
                                     payer_count, final_payer_count, first_paid_at, last_paid_at, settled_claims,
                                     good_claims, pending_claims, totals)
    SELECT s.chain_id, s.agent_id, s.payment_count, s.final_payment_count, s.paid_feedback_count,
           coalesce(p.payers, 0), coalesce(p.final_payers, 0), s.first_paid_at, s.last_paid_at, s.settled_claims,
           s.good_claims, s.pending_claims, coalesce(t.totals, '[]')
      FROM v_payment_stats s  -- whose own counts of payers nobody asks for here, so nobody makes them
      LEFT JOIN (SELECT chain_id, agent_id, count(*) AS payers,
                        count(*) FILTER (WHERE final_payment_count > 0) AS final_payers
                   FROM agent_payer GROUP BY chain_id, agent_id) p USING (chain_id, agent_id)
      LEFT JOIN (SELECT chain_id, agent_id,
                        jsonb_agg(jsonb_build_object(
                            'chain_id', pay_chain_id, 'token', '0x' || encode(token, 'hex'), 'amount', amount::text,
                            'count', payment_count) ORDER BY pay_chain_id, token)::text AS totals
                   FROM agent_payment_total GROUP BY chain_id, agent_id) t USING (chain_id, agent_id)
     ORDER BY s.chain_id, s.agent_id;
END $$;

CREATE FUNCTION payments_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM recount_payments();
    RETURN NULL;
END $$;

REVOKE EXECUTE ON FUNCTION
    payment_noted, payment_claim_noted, payment_change_applied, payments_truncated, recount_payments FROM PUBLIC;

CREATE TRIGGER payment_came AFTER INSERT ON payment
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION payment_noted();
CREATE TRIGGER payment_changed AFTER UPDATE ON payment
    REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION payment_noted();
CREATE TRIGGER payment_went AFTER DELETE ON payment
    REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION payment_noted();
CREATE TRIGGER payment_truncated AFTER TRUNCATE ON payment
    FOR EACH STATEMENT EXECUTE FUNCTION payments_truncated();
CREATE TRIGGER payment_claim_came AFTER INSERT ON payment_claim
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION payment_claim_noted();
CREATE TRIGGER payment_claim_changed AFTER UPDATE ON payment_claim
    REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION payment_claim_noted();
CREATE TRIGGER payment_claim_went AFTER DELETE ON payment_claim
    REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION payment_claim_noted();
CREATE TRIGGER payment_claim_truncated AFTER TRUNCATE ON payment_claim
    FOR EACH STATEMENT EXECUTE FUNCTION payments_truncated();
CREATE CONSTRAINT TRIGGER payment_change_applied AFTER INSERT ON payment_change
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.wakes) EXECUTE FUNCTION payment_change_applied();

SELECT recount_payments();

-- Who leads ----------------------------------------------------------------------------------------

-- A leaderboard's rows: `scope` is a chain, 0 for all main networks, -1 for all test networks; `rank` counts from 1.
-- Rank 0 of a scope names the chains that were looked at and the block of each. Names are kept as they were, so that a
-- page is one range of one index. The best thousand of every scope.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        -- Distinct clients; then feedback that is not revoked.
        ('clients', $q$
            SELECT s.agent_id, s.client_count AS score, s.feedback_count - s.revoked_count AS second
              FROM agent_stats s WHERE s.chain_id = c.chain_id AND s.client_count > 0
             ORDER BY 2 DESC, 3 DESC, 1 LIMIT 1000$q$, 'NULL::text'),
        -- Distinct payers of final payments; then their payments. Amounts are of many tokens, and one rich payer is
        -- one.
        ('paid', $q$
            SELECT s.agent_id, s.final_payer_count AS score, s.final_payment_count AS second
              FROM agent_payment_stats s WHERE s.chain_id = c.chain_id AND s.final_payer_count > 0
             ORDER BY 2 DESC, 3 DESC, 1 LIMIT 1000$q$,
         'payment_totals(r.chain_id, r.agent_id, true)'),
        -- Seconds of registration; ids of a registry rise with time.
        ('newest', $q$
            SELECT a.agent_id, extract(epoch FROM a.created_at)::bigint AS score, a.agent_id AS second
              FROM agent a WHERE a.chain_id = c.chain_id ORDER BY a.agent_id DESC LIMIT 1000$q$, 'NULL::text'),
        -- Events about it in the 30 days before the chain's last block. Those of agents that do not exist, each of which
        -- is unattached, take no places: to ask of each agent whether it exists would cost as much as counting.
        ('busiest', $q$
            SELECT e.agent_id, count(*) AS score, 0::bigint AS second
              FROM (SELECT b.number FROM block b
                     WHERE b.chain_id = c.chain_id AND b.time > k.block_time - interval '30 days'
                     ORDER BY b.time, b.number LIMIT 1) AS since
             CROSS JOIN LATERAL (
                   SELECT agent_id FROM agent_registered WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM uri_updated WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM metadata_set WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM agent_transferred WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM agent_approved WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM feedback_given WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM feedback_revoked WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM response_appended WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM validation_requested
                    WHERE chain_id = c.chain_id AND block_number >= since.number
                   UNION ALL
                   SELECT agent_id FROM validation_responded
                    WHERE chain_id = c.chain_id AND block_number >= since.number) e
             GROUP BY e.agent_id ORDER BY 2 DESC, 1
             LIMIT 1000 + (SELECT count(*) FROM unattached u
                            WHERE u.chain_id = c.chain_id AND u.reason = 'unknown-agent')$q$, 'NULL::text')
    ) AS board (kind, best, totals)
    LOOP
        EXECUTE format($view$
            CREATE MATERIALIZED VIEW leaderboard_%1$s AS
            WITH best AS MATERIALIZED (
                SELECT c.chain_id, c.testnet, b.agent_id, b.score, b.second
                  FROM chain c
                  JOIN checkpoint k USING (chain_id)
                 CROSS JOIN LATERAL (%2$s) b
                 WHERE EXISTS (SELECT FROM agent a WHERE a.chain_id = c.chain_id AND a.agent_id = b.agent_id)
            ), ranked AS (
                SELECT chain_id AS scope, row_number() OVER (PARTITION BY chain_id
                       ORDER BY score DESC, second DESC, agent_id) AS rank, best.*
                  FROM best
                UNION ALL
                SELECT CASE WHEN testnet THEN -1 ELSE 0 END, row_number() OVER (PARTITION BY testnet
                       ORDER BY score DESC, second DESC, chain_id, agent_id), best.*
                  FROM best
            )
            SELECT r.scope, r.rank::integer, r.chain_id, r.agent_id, r.score, r.second, p.name, %3$s AS totals,
                   NULL::text AS heads, NULL::timestamptz AS counted_at
              FROM ranked r
              LEFT JOIN agent_profile p USING (chain_id, agent_id)
             WHERE r.rank <= 1000
            UNION ALL
            SELECT s.scope, 0, NULL, NULL, NULL, NULL, NULL, NULL,
                   coalesce(jsonb_agg(jsonb_build_object(
                       'chain_id', c.chain_id, 'registry', encode(c.identity, 'hex'), 'start_block', c.start_block,
                       'block_number', k.block_number, 'block_hash', encode(k.block_hash, 'hex'),
                       'block_time', extract(epoch FROM k.block_time)::bigint, 'final_block', k.final_block,
                       'safe_block', k.safe_block, 'epoch', c.epoch) ORDER BY c.chain_id)
                       FILTER (WHERE k.chain_id IS NOT NULL), '[]')::text,
                   now()
              FROM (SELECT chain_id AS scope FROM chain UNION ALL VALUES (0), (-1)) s
              LEFT JOIN chain c ON c.chain_id = s.scope OR s.scope = 0 AND NOT c.testnet OR s.scope = -1 AND c.testnet
              LEFT JOIN checkpoint k ON k.chain_id = c.chain_id
             GROUP BY s.scope$view$, one.kind, one.best, one.totals);
        EXECUTE format('CREATE UNIQUE INDEX leaderboard_%1$s_page ON leaderboard_%1$s (scope, rank)', one.kind);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION refresh_view(which text) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    began   timestamptz := clock_timestamp();
    took_ms double precision;
BEGIN
    CASE which
        WHEN 'network' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY network;
        WHEN 'term_count' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY term_count;
        WHEN 'leaderboard_clients' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY leaderboard_clients;
        WHEN 'leaderboard_paid' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY leaderboard_paid;
        WHEN 'leaderboard_newest' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY leaderboard_newest;
        WHEN 'leaderboard_busiest' THEN REFRESH MATERIALIZED VIEW CONCURRENTLY leaderboard_busiest;
    END CASE;
    took_ms := extract(epoch FROM clock_timestamp() - began) * 1000;
    INSERT INTO view_refresh VALUES (which, began, took_ms)
        ON CONFLICT (view) DO UPDATE SET refreshed_at = began, duration_ms = took_ms;
    RETURN took_ms;
END $$;

-- Of a view never made anew the rows say when they were counted.
CREATE OR REPLACE VIEW v_view_age AS
SELECT v.view, extract(epoch FROM clock_timestamp() - coalesce(r.refreshed_at, v.counted_at))::double precision
       AS age_seconds, r.refreshed_at, r.duration_ms
  FROM (SELECT 'network' AS view, (SELECT max(n.counted_at) FROM network n) AS counted_at
        UNION ALL
        SELECT 'term_count'::text AS text, (SELECT t.counted_at FROM term_count t LIMIT 1)
        UNION ALL
        SELECT 'leaderboard_clients'::text AS text, (SELECT counted_at FROM leaderboard_clients WHERE (scope, rank) = (0, 0))
        UNION ALL
        SELECT 'leaderboard_paid'::text AS text, (SELECT counted_at FROM leaderboard_paid WHERE (scope, rank) = (0, 0))
        UNION ALL
        SELECT 'leaderboard_newest'::text AS text, (SELECT counted_at FROM leaderboard_newest WHERE (scope, rank) = (0, 0))
        UNION ALL
        SELECT 'leaderboard_busiest'::text AS text, (SELECT counted_at FROM leaderboard_busiest WHERE (scope, rank) = (0, 0))) v
  LEFT JOIN view_refresh r ON r.view = v.view;
