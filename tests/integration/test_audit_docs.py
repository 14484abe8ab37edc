"""What the explanation of the audit log says strangers can do, done."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from renown.audit.proofs import FIELDS, read_payload
from renown.ingest.notary.proving import prove_inclusion
from renown.store.audit_payload import PAYLOAD
from renown.store.pool import Tx, transaction
from tests.auditing import SIGNER, a_log, opened

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "audit.md"


def test_example__a_proof_and_the_key__checks_it_and_no_other(
    fresh_database_url: str, tmp_path: Path
) -> None:
    async def proofs() -> list[dict[str, object]]:
        await a_log(fresh_database_url, tmp_path)
        async with opened(fresh_database_url) as conn, transaction(conn) as tx:
            found = [await prove_inclusion(tx, n, SIGNER.verifier) for n in (1, 14, 40)]
        return [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]

    [script] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(script.splitlines()) < 42
    program, file = tmp_path / "check.py", tmp_path / "proof.json"
    program.write_text(script)

    def ran(proof: dict[str, object]) -> subprocess.CompletedProcess[str]:
        file.write_text(json.dumps(proof))
        command = [sys.executable, str(program), str(file), SIGNER.verifier.text]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first, policy, last = asyncio.run(proofs())
    for proof in (first, policy, last):
        assert ran(proof).returncode == 0
    assert ran(policy).stdout == "update is entry 13 of 40\n"
    assert ran({**policy, "payload": str(policy["payload"]).replace("update", "insert")}).returncode
    checkpoint = str(policy["checkpoint"])
    assert ran({**policy, "checkpoint": checkpoint.replace("\n40\n", "\n41\n")}).returncode


def test_payload__the_fields_that_are_listed__are_those_of_the_code(
    fresh_database_url: str, tmp_path: Path
) -> None:
    async def proven() -> str:
        await a_log(fresh_database_url, tmp_path)
        async with opened(fresh_database_url) as conn, transaction(conn) as tx:
            return (await prove_inclusion(tx, 14, SIGNER.verifier)).payload or ""

    listed = re.search(r"in this order:\n\n(.*?)\n\n", PAGE.read_text(), re.DOTALL)
    assert listed is not None
    named = re.findall(r"`(\w+)`", listed[1].partition("What there is not")[0])
    assert named == [name for name in FIELDS if name not in {"at_us", "rule"}]
    entry = read_payload(asyncio.run(proven()))
    assert (entry["subject"], entry["subject_key"], entry["rule"]) == (
        *("policy", "review", "by-hand"),
    )
    assert entry["before"]["value"] == {}


async def test_payload__of_a_known_entry__is_this_text_on_every_version(tx: Tx) -> None:
    """Were it ever another, every log of before would look tampered with."""
    await tx.execute("SET LOCAL timezone = 'Asia/Kathmandu'")
    await tx.execute("SET LOCAL datestyle = 'German'")
    await tx.execute("SET LOCAL extra_float_digits = 0")
    await tx.execute(
        "INSERT INTO audit_log VALUES (7, '2026-03-04 05:06:07.890123+00', 'update', 'policy',"
        " 'a,\"b', '00000000-0000-0000-0000-00000000000f', 9, 'abcd1234', '\\x0a0b', '\\xff',"
        " E'é\\\\ \\n\\t\\x7f\\u2028\U0001f600', 'renown as \"x\"', 'psql', 'POST', '/v1/{key}',"
        ' 201, 1.5, \'{"b": 1, "a": [1e400, 1.10, "\\\\u00e9", null, true]}\', \'null\', NULL)'
    )

    found = await tx.fetchval(
        f"SELECT {PAYLOAD} FROM audit_log l, (SELECT 'by-hand'::text) f (rule) WHERE entry_id = 7"
    )

    assert sha256(found.encode()).hexdigest() == (
        "1f829c022b39a9778488cc72900139bad21f91432adf5f0f7b98ff0903ffae7c"
    ), found
