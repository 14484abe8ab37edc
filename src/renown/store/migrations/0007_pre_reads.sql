-- 0007 reads: what every answer about an agent needs of its chain, as one column; indexes by what is asked.
--
-- Why      An answer says at which block it is true. To join two tables and render ten columns for that took a sixth of
--          the time of an answer by key, and a page did it in every row.
-- Writer   triggers: on `checkpoint` with every commit, on `chain` if ever one of its lasting facts is mended.
-- Lock     ACCESS EXCLUSIVE on `checkpoint` and `attachment`, for a moment; SHARE on `payment_claim` while its index is
--          made: about a second per million claims.
-- Backfill the heads of all chains are written before it ends.
-- Undo     drop what is made here, which follows from other columns; make `attachment_by_agent` as in 0002.

-- JSON: [chain_id, identity, start_block, block_number, block_hash, block_time, final_block, safe_block, epoch, position],
-- bytes in hexadecimal, the time in UTC. For readers only; what it says stands in the columns.
ALTER TABLE checkpoint ADD COLUMN head text;

CREATE FUNCTION checkpoint_head() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    SELECT json_build_array(
               c.chain_id, encode(c.identity, 'hex'), c.start_block, NEW.block_number, encode(NEW.block_hash, 'hex'),
               NEW.block_time AT TIME ZONE 'UTC', NEW.final_block, NEW.safe_block, c.epoch, NEW.position)::text
      INTO NEW.head
      FROM chain c
     WHERE c.chain_id = NEW.chain_id;
    RETURN NEW;
END $$;
CREATE TRIGGER checkpoint_head BEFORE INSERT OR UPDATE ON checkpoint
    FOR EACH ROW EXECUTE FUNCTION checkpoint_head();

CREATE FUNCTION chain_head() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE checkpoint SET head = NULL WHERE chain_id = NEW.chain_id;  -- its own trigger writes it
    RETURN NULL;
END $$;
CREATE TRIGGER chain_head AFTER UPDATE ON chain
    FOR EACH ROW WHEN (OLD.identity IS DISTINCT FROM NEW.identity OR OLD.start_block IS DISTINCT FROM NEW.start_block
                       OR OLD.epoch IS DISTINCT FROM NEW.epoch)
    EXECUTE FUNCTION chain_head();

SET LOCAL renown.indexer = 'on';  -- no write of a stranger
UPDATE checkpoint SET head = NULL;

-- Serves the page of an agent's feedback that was paid for, newest first: else all that were, are read and sorted.
CREATE INDEX payment_claim_paid ON payment_claim (chain_id, agent_id, feedback_block, feedback_log_index)
    WHERE feedback_block IS NOT NULL AND state IN ('included', 'confirmed');
-- No query goes by it: files are found by the place of what they are attached to.
DROP INDEX attachment_by_agent;
