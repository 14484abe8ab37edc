"""Commands that the tutorial does not show, as processes: what they sign comes to stand."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from renown.chain.devnet.addresses import CHAIN_ID
from renown.chain.devnet.wallets import devnet_wallet
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.e2e.acting.stack import Caller, Stack
from tests.e2e.acting.test_registration import FILE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SECONDS = 60.0
OWNER, VALIDATOR = 0, 1
"""Accounts of the devnet."""


class Terminal:
    """Where somebody types commands, who has a key of the API and these accounts of the devnet."""

    def __init__(self, caller: Caller, folder: Path) -> None:
        self.stack, self.folder = caller.stack, folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RENOWN_", "RPC_URL"))}
        self._environment = kept | {
            "RENOWN_DATA_DIR": str(folder),
            "RENOWN_API_URL": self.stack.base,
            "RENOWN_API_KEY": caller.holder.key,
        }

    @classmethod
    async def open(cls, stack: Stack, folder: Path, *accounts: int) -> Terminal:
        caller = await stack.account()
        for number in accounts:
            address = devnet_wallet(number).address
            await stack.fund(address)
            async with stack.pool.transaction() as tx:
                await tx.execute("DELETE FROM account_wallet WHERE address = $1", address)
                account_id = caller.holder.account.account_id
                await add_wallet(tx, account_id, address, 0, "signature")
        return cls(caller, folder)

    def file(self, content: dict[str, Any]) -> str:
        """A JSON file's path."""
        path = self.folder / "file.json"
        path.write_text(json.dumps(content))
        return str(path)

    async def renown(self, *words: str, account: int = OWNER) -> Any:
        """What the command prints, when all it did is indexed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from renown.cli import main; main()", *words),
            *("--devnet-account", str(account), "--yes", "--json"),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            printed, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        await self.stack.indexed()
        return json.loads(printed)


async def served(stack: Stack, uri: str) -> Any:
    """The JSON at the URI of a file that the API hosts, whose name is its hash."""
    assert uri.startswith(f"{stack.base}/v1/files/0x")
    answer = await stack.client.get(uri)
    assert uri.endswith(hashlib.sha256(answer.content).hexdigest())
    return answer.json()


async def test_commands__for_an_agent_of_ones_own__do_what_they_say(
    stack: Stack, tmp_path: Path
) -> None:
    terminal, rater = await Terminal.open(stack, tmp_path, OWNER), await stack.account()
    owner = checksum_address(devnet_wallet(OWNER).address)
    words = ("register", terminal.file(FILE), "--chain", str(CHAIN_ID))
    key = (await terminal.renown(*words, "--hosted", "--names-itself"))["agent"]["key"]
    agent = f"/v1/agents/{key}"
    found = await stack.get(agent)
    first = await served(stack, found["uri"])
    assert first["name"] == FILE["name"]
    assert [str(one["agentId"]) for one in first["registrations"]] == [found["agent_id"]]

    changed = terminal.file(FILE | {"name": "Weather of tomorrow"})
    await terminal.renown("update", key, changed, "--hosted", "--metadata", "agentName=Ada")
    second = await served(stack, (await stack.get(agent))["uri"])
    assert second == first | {"name": "Weather of tomorrow"}
    entries = (await stack.get(f"{agent}/metadata"))["items"]
    assert [one["key"] for one in entries] == ["agentName"]

    await rater.act("POST", f"{agent}/feedback", {"from": rater.me, "value": 20})
    answer = terminal.file({"text": "we are sorry"})
    await terminal.renown("respond", key, rater.me, "1", answer, "--hosted")
    (one,) = (await stack.get(f"{agent}/feedback/{rater.me}/1/responses"))["items"]
    assert one["responder"] == owner
    assert await served(stack, one["uri"]) == {"text": "we are sorry"}

    assert (await stack.get(agent))["wallet"] == owner
    await terminal.renown("wallet", "unset", key)
    assert (await stack.get(agent))["wallet"] is None


async def test_validate_respond__then_the_request_is_answered(stack: Stack, tmp_path: Path) -> None:
    terminal = await Terminal.open(stack, tmp_path, VALIDATOR)
    owner, validator = await stack.account(), checksum_address(devnet_wallet(VALIDATOR).address)
    agent = f"/v1/agents/{await stack.agent(owner.wallet)}"
    body = {"from": owner.me, "validator": validator, "file": {"work": "done"}}
    await owner.act("POST", f"{agent}/validations", body)
    (asked,) = (await stack.get(f"{agent}/validations"))["items"]
    words = ("validate", "respond", asked["request_hash"], "80", "--chain", str(CHAIN_ID))
    await terminal.renown(*words, "--tag", "hard", account=VALIDATOR)
    (one,) = (await stack.get(f"{agent}/validations"))["items"]
    assert (one["response"], one["tag"]) == (80, "hard")
