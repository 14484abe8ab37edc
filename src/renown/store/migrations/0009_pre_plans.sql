-- 0009 plans: what plans on a large world showed of indexes by time, and of one that no query uses.
--
-- Why      The oldest attempt and the oldest checks were looked for in all of them: a BRIN index knows ranges of pages,
--          no order. Claims are found by their transaction, of which an account has few.
-- Writer   the crawler, the prober.
-- Lock     SHARE on `resolution` and `endpoint_check` while their indexes are made, some seconds per million rows;
--          ACCESS EXCLUSIVE on them and on `payment_claim` for a moment.
-- Backfill none.
-- Undo     make the indexes again as 0002 and 0003 have them.

DROP INDEX resolution_by_time;
-- With the URI, so that a lookup of one attempt by its key finds one row here, too.
CREATE INDEX resolution_by_time ON resolution (attempted_at, uri_id);
DROP INDEX endpoint_check_by_time;
CREATE INDEX endpoint_check_by_time ON endpoint_check (checked_at);
DROP INDEX payment_claim_by_account;
