-- 0008 search: the words of agents' names, so that a misspelt one is found by keys.
--
-- Why      Runs of three letters that common names share have long lists: a misspelt name took a hundred times a keyed
--          read, and the more the more names there were. What is left of a word without one or two letters is a key.
-- Writer   the trigger on `agent_name`, in the transaction that counts a name (store.profiles, store.forget).
-- Lock     SHARE on `agent_name` while its index is made, ACCESS EXCLUSIVE for a moment: a minute per million names.
--          ACCESS EXCLUSIVE on `agent_profile` while the indexes of its words by quality are made anew: searches wait
--          for about a minute per million agents. (The old ones are dropped first, so that a lock that cannot be had is
--          known before the work, and not after it.)
-- Backfill the words of all names are counted before it ends.
-- Undo     drop what is made here; make `agent_name_alike` and the seven `agent_profile_words_*` anew, as in 0002.
--
-- None of this belongs to the state hash; all follows from `agent_name`.

-- The distinct words of a name, in order: what stands between spaces, digits and the punctuation of ASCII. At most
-- `most` words and 40 characters of each: strangers choose names.
CREATE FUNCTION name_words(name_key text, most integer DEFAULT 12) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
    SELECT w.word
      FROM (SELECT DISTINCT left(s.word, 40)
              FROM unnest(string_to_array(
                       translate(name_key, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~’0123456789', repeat(' ', 43)), ' '))
                   AS s (word)
             WHERE s.word <> '') AS w (word)
     ORDER BY w.word LIMIT most);

-- What is left of a word, or of its first seven letters, without none, one or two of them; of a word of up to five
-- letters at most one is left out. Two words that one mistake (up to five letters) or two keep apart share a key,
-- whichever letters are too many, missing, others, or in each other's place (SymSpell's symmetric deletes).
CREATE FUNCTION word_keys(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
    SELECT left(word, 7)
     UNION
    SELECT left(left(word, 7), i - 1) || substr(left(word, 7), i + 1, greatest(j - i - 1, 0))
           || substr(left(word, 7), j + 1)
      FROM generate_series(1, least(length(word), 7)) AS i,
           generate_series(i, CASE WHEN length(word) > 5 THEN least(length(word), 7) ELSE i END) AS j
     WHERE length(word) > 2);

DROP INDEX agent_name_alike;
CREATE INDEX agent_name_by_words ON agent_name USING gin (name_words(name_key)) WITH (fastupdate = off);

CREATE TABLE agent_name_word (
    word       text PRIMARY KEY,
    name_count bigint NOT NULL          -- distinct names that have it
) WITH (fillfactor = 80);
INSERT INTO agent_name_word
SELECT w.word, count(*) FROM agent_name n CROSS JOIN LATERAL unnest(name_words(n.name_key)) AS w (word)
 GROUP BY w.word;
CREATE INDEX agent_name_word_near ON agent_name_word USING gin (word_keys(word)) WITH (fastupdate = off);

CREATE FUNCTION agent_name_counted() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM agent_name_word;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO agent_name_word AS k (word, name_count)
        SELECT w.word, count(*) FROM changed n CROSS JOIN LATERAL unnest(name_words(n.name_key)) AS w (word)
         GROUP BY w.word ORDER BY w.word
            ON CONFLICT (word) DO UPDATE SET name_count = k.name_count + excluded.name_count;
    ELSE
        UPDATE agent_name_word k SET name_count = k.name_count - g.name_count
          FROM (SELECT w.word, count(*) AS name_count
                  FROM changed n CROSS JOIN LATERAL unnest(name_words(n.name_key)) AS w (word)
                 GROUP BY w.word) g
         WHERE k.word = g.word;
        DELETE FROM agent_name_word k
         USING changed n CROSS JOIN LATERAL unnest(name_words(n.name_key)) AS w (word)
         WHERE k.word = w.word AND k.name_count <= 0;
    END IF;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION agent_name_counted FROM PUBLIC;  -- for the triggers alone
CREATE TRIGGER agent_name_came AFTER INSERT ON agent_name
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION agent_name_counted();
CREATE TRIGGER agent_name_went AFTER DELETE ON agent_name
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION agent_name_counted();
CREATE TRIGGER agent_name_emptied AFTER TRUNCATE ON agent_name
    FOR EACH STATEMENT EXECUTE FUNCTION agent_name_counted();

ANALYZE agent_name_word;

-- The first matches by quality are had from indexes of the words of bands of quality, asked from the best down until
-- there are enough: so hardly more rows are read than needed, wherever in the order they stand. A row is in one band;
-- the upper ones reach about twice as deep each, and 43 is what an agent without a file hardly gets. The sum keeps the
-- index by quality out of their conditions. Named in store.search_plan. What was written since the last vacuum waits in
-- a list that each search of the index reads to its end: fifteen of the usual 4 MB would make searches several times as
-- slow; of 128 kB they are not felt, and a row costs 5 % more to write.
DROP INDEX agent_profile_words_64, agent_profile_words_88, agent_profile_words_104, agent_profile_words_120,
           agent_profile_words_144, agent_profile_words_176, agent_profile_words_200;
CREATE INDEX agent_profile_words_214_255 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 214;
CREATE INDEX agent_profile_words_206_213 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 206 AND quality + 0 < 214;
CREATE INDEX agent_profile_words_192_205 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 192 AND quality + 0 < 206;
CREATE INDEX agent_profile_words_180_191 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 180 AND quality + 0 < 192;
CREATE INDEX agent_profile_words_168_179 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 168 AND quality + 0 < 180;
CREATE INDEX agent_profile_words_156_167 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 156 AND quality + 0 < 168;
CREATE INDEX agent_profile_words_140_155 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 140 AND quality + 0 < 156;
CREATE INDEX agent_profile_words_124_139 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 124 AND quality + 0 < 140;
CREATE INDEX agent_profile_words_104_123 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 104 AND quality + 0 < 124;
CREATE INDEX agent_profile_words_84_103 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 84 AND quality + 0 < 104;
CREATE INDEX agent_profile_words_64_83 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 64 AND quality + 0 < 84;
CREATE INDEX agent_profile_words_43_63 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 43 AND quality + 0 < 64;
CREATE INDEX agent_profile_words_35_42 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 35 AND quality + 0 < 43;
CREATE INDEX agent_profile_words_21_34 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 >= 21 AND quality + 0 < 35;
CREATE INDEX agent_profile_words_0_20 ON agent_profile USING gin (words) WITH (gin_pending_list_limit = 128)
    WHERE quality + 0 < 21;

-- Words stay in their row up to half a page of it: a search ranks a hundred, and walks past more, and each that lay
-- beside the table cost five pages. Rows are written so from now on; VACUUM FULL would do it for those that are there.
ALTER TABLE agent_profile SET (toast_tuple_target = 4080);
