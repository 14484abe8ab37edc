"""The world that plans are looked at on: as large as makes PostgreSQL choose as it would at scale.

50,000 agents with ten feedbacks each, made as for the benchmarks, and beside them what operators
and users leave behind: accounts, operations, an audit log.
"""

from __future__ import annotations

from renown.ingest.world import WorldSize, load
from renown.store.pool import connect, transaction

SIZE = WorldSize(agents=50_000, feedback=500_000, payments=250_000)


async def build(url: str) -> None:
    """Fill a migrated database. The planner's statistics are fresh afterwards."""
    await load(url, SIZE)
    conn = await connect(url)
    try:
        # Vacuum marks no page as seen by all while its writer's commit, or one that came soon after
        # (they are noted by the dozen), is not on disk: so neither may that of the table before be.
        await conn.execute("SET synchronous_commit = on")
        async with transaction(conn) as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")  # no triggers
            for statement in _BESIDE:
                await tx.execute(statement)
        for table in _BESIDE_TABLES:
            await conn.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await conn.close()


_ACCOUNT = "100001 + n % 15000"
_OPERATION = "md5('operation' || n)::uuid"
_ADDRESS = "substring(sha256(int8send(n)) FOR 20)"
_AT = "now() - make_interval(secs => {} - n)"

_BESIDE = (
    """
    INSERT INTO account (account_id, name, created_at) OVERRIDING SYSTEM VALUE
    SELECT 100000 + n, 'account ' || n, now() - make_interval(mins => 15001 - n)
      FROM generate_series(1, 15000) AS n
    """,
    f"""
    INSERT INTO account_wallet (address, account_id, proof)
    SELECT {_ADDRESS}, {_ACCOUNT}, 'signature' FROM generate_series(1, 12000) AS n
    """,
    f"""
    INSERT INTO api_key (key_id, account_id, kind, scopes, secret_hash, pepper_version, created_at,
                         expires_at, revoked_at)
    SELECT lpad(to_hex(n), 8, '0'), {_ACCOUNT}, CASE n % 5 WHEN 0 THEN 'session' ELSE 'key' END,
           ARRAY['read'], sha256(int8send(n)), '1', {_AT.format(30_000)},
           CASE n % 5 WHEN 0 THEN {_AT.format(30_000)} + interval '1 hour' END,
           CASE n % 7 WHEN 0 THEN now() END
      FROM generate_series(1, 30000) AS n
    """,
    f"""
    INSERT INTO wallet_challenge (nonce, address, chain_id, message, issued_at, expires_at)
    SELECT md5(n::text), {_ADDRESS}, 1, 'Sign in', {_AT.format(12_000)},
           {_AT.format(12_000)} + interval '10 minutes'
      FROM generate_series(1, 12000) AS n
    """,
    f"""
    INSERT INTO idempotency (account_id, key_hash, request_hash, started_at, locked_until, attempt,
                             status)
    SELECT {_ACCOUNT}, sha256(int8send(n)), sha256(int8send(n)), {_AT.format(12_000)},
           {_AT.format(12_000)}, md5(n::text)::uuid, 200
      FROM generate_series(1, 12000) AS n
    """,
    f"""
    INSERT INTO hosted_file (sha256, content, media_type, account_id)
    SELECT sha256(int8send(n)), '{{}}', 'application/json', {_ACCOUNT}
      FROM generate_series(1, 12000) AS n
    """,
    f"""
    INSERT INTO operation (operation_id, account_id, chain_id, kind, mode, sender, request, state,
                           due_at, created_at, updated_at)
    SELECT {_OPERATION}, {_ACCOUNT}, 1, 'register', CASE n % 10 WHEN 0 THEN 'managed' ELSE 'client'
           END, {_ADDRESS}, '{{}}',
           CASE WHEN n % 50 = 0 THEN 'prepared' WHEN n % 1001 = 0 THEN 'submitted' ELSE 'final' END,
           CASE WHEN n % 1001 = 0 THEN now() END, {_AT.format(15_000)}, {_AT.format(15_000)}
      FROM generate_series(1, 15000) AS n
    """,
    f"""
    INSERT INTO operation_file (operation_id, sha256, uri)
    SELECT {_OPERATION}, sha256(int8send(n)), convert_to('https://files.example/' || n, 'UTF8')
      FROM generate_series(1, 12000) AS n
    """,
    f"""
    INSERT INTO operation_step (operation_id, step, function, contract, summary, state)
    SELECT {_OPERATION}, 1, 'register()', {_ADDRESS}, 'Registers.', 'final'
      FROM generate_series(1, 15000) AS n
    """,
    f"""
    INSERT INTO operation_transaction (chain_id, tx_hash, operation_id, step, sender, nonce, gas,
                                       max_fee_wei, priority_fee_wei, raw, signed_at, settled)
    SELECT 1, sha256(int8send(n)), {_OPERATION}, 1, {_ADDRESS}, n % 10, 21000, 1, 1, '\\x00',
           {_AT.format(15_000)}, n % 1001 <> 0
      FROM generate_series(1, 15000) AS n
    """,
    f"""
    INSERT INTO operation_event (operation_id, number, step, state)
    SELECT {_OPERATION}, 1, 1, 'prepared' FROM generate_series(1, 15000) AS n
    """,
    # For the days of the log that are of the month before.
    """
    DO $$ BEGIN
        EXECUTE format('CREATE TABLE audit_log_before PARTITION OF audit_log
                        FOR VALUES FROM (%L) TO (%L)',
                       date_trunc('month', now(), 'UTC') - interval '2 months',
                       date_trunc('month', now(), 'UTC'));
    END $$
    """,
    f"""
    INSERT INTO audit_log (entry_id, at, action, subject, subject_key, request_id, account_id,
                           key_id, method, route, status, duration_ms, detail)
    SELECT n, now() - make_interval(mins => 40000 - n),
           CASE n % 100 WHEN 0 THEN 'commit' WHEN 1 THEN 'update' ELSE 'read' END,
           CASE n % 100 WHEN 0 THEN 'chain:1' WHEN 1 THEN 'account' ELSE '/v1/agents' END,
           CASE n % 100 WHEN 1 THEN (n % 15000)::text END,
           CASE WHEN n % 100 > 1 THEN md5(n::text)::uuid END,
           CASE WHEN n % 100 > 1 THEN {_ACCOUNT} END,
           CASE WHEN n % 100 > 1 THEN lpad(to_hex(n % 30000), 8, '0') END, 'GET', '/v1/agents',
           CASE n % 200 WHEN 7 THEN 404 ELSE 200 END, 1,
           jsonb_build_object('from_block', n, 'to_block', n + 99, 'facts', 1, 'quarantined', 0)
      FROM generate_series(1, 40000) AS n
    """,
    """
    INSERT INTO audit_leaf (seq, entry_id, at, rule, leaf_hash, link_hash)
    SELECT n - 1, n, l.at, CASE n % 1000 WHEN 1 THEN 'account' END, sha256(int8send(n)),
           sha256(int8send(n))
      FROM generate_series(1, 39000) AS n JOIN audit_log l ON l.entry_id = n
    """,
    """
    INSERT INTO audit_node (level, index, hash)
    SELECT level, i, sha256(int8send(i))
      FROM generate_series(1, 12) AS level, generate_series(0, 39000 / (1 << level) - 1) AS i
    """,
    """
    INSERT INTO audit_pending (entry_id, at)
    SELECT entry_id, at FROM audit_log WHERE entry_id > 39000
    """,
    """
    INSERT INTO profile_due
    SELECT chain_id, agent_id FROM agent_profile WHERE hashint8(agent_id) % 100 = 0
    """,
    """
    INSERT INTO validation (chain_id, agent_id, contract, request_hash, validator, request_uri,
                            requested_block, requested_log_index)
    SELECT chain_id, agent_id, substring(owner FOR 20), sha256(int8send(agent_id)), owner, '',
           created_block, 0
      FROM agent ORDER BY chain_id, agent_id LIMIT 12000 ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO quarantine (chain_id, block_number, log_index, tx_hash, contract, reason, topics,
                            payload)
    SELECT 1, n, 0, sha256(int8send(n)), substring(sha256('c') FOR 20), 'beyond-range', '{}', ''
      FROM generate_series(1, 12000) AS n
    """,
    """
    INSERT INTO outbox (chain_id, position, kind, from_block, to_block, fact_count, written_at)
    SELECT 1, -n, 'extend', n, n, 1, now() - make_interval(mins => n)
      FROM generate_series(1, 12000) AS n ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO payment_look
    SELECT chain_id, block_number, log_index FROM attachment
     WHERE role = 'feedback' AND hashint8(block_number) % 50 = 0 ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO audit_checkpoint (size, root_hash, link_hash, note)
    SELECT n * 3, sha256(int8send(n)), sha256(int8send(n)), '' FROM generate_series(1, 13000) AS n
    """,
)
_BESIDE_TABLES = (
    "account",
    "account_wallet",
    "api_key",
    "wallet_challenge",
    "idempotency",
    "hosted_file",
    "operation",
    "operation_file",
    "operation_step",
    "operation_transaction",
    "operation_event",
    "audit_log",
    "audit_leaf",
    "audit_node",
    "audit_pending",
    "audit_checkpoint",
    "outbox",
    "payment_look",
    "profile_due",
    "quarantine",
    "validation",
)
