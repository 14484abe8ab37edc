-- 0009 plans: what plans on a large world showed of indexes by time, of one that no query uses, and of what a page of
--          feedback looks up for each row.
--
-- Why      The oldest attempt and the oldest checks were looked for in all of them: a BRIN index knows ranges of pages,
--          no order. Claims are found by their transaction, of which an account has few. Of a block a page wants only
--          the time, which now stands in the index that finds the block; and whether an agent's feedback has marks at
--          all is asked once a page instead of a mark for each row.
-- Writer   the crawler, the prober; the indexer writes `block` and `feedback_mark`.
-- Lock     SHARE on `resolution`, `endpoint_check` and `feedback_mark` while their indexes are made, some seconds per
--          million rows; ACCESS EXCLUSIVE on `block` likewise, and on the others and `payment_claim` for a moment.
-- Backfill none. A page reads no rows of `block` where they are marked all-visible, which autovacuum does: soon after
--          they came, as set here, since the newest pages are about the newest blocks.
-- Undo     make the indexes again as 0001, 0002 and 0003 have them; drop `feedback_mark_by_agent`; RESET the two
--          settings of `block`.

DROP INDEX resolution_by_time;
-- With the URI, so that a lookup of one attempt by its key finds one row here, too.
CREATE INDEX resolution_by_time ON resolution (attempted_at, uri_id);
DROP INDEX endpoint_check_by_time;
CREATE INDEX endpoint_check_by_time ON endpoint_check (checked_at);
DROP INDEX payment_claim_by_account;

-- Serves the times of a page's rows: 8 bytes more an entry, and no row is fetched.
ALTER TABLE block DROP CONSTRAINT block_pkey, ADD PRIMARY KEY (chain_id, number) INCLUDE (time);
-- By default it would be vacuumed when a fifth of it is new. Rows are hardly ever deleted, so that a turn looks at the
-- new pages and not at the indexes.
ALTER TABLE block SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000);
-- Serves the question whether an agent's feedback has marks.
CREATE INDEX feedback_mark_by_agent ON feedback_mark (chain_id, agent_id);
