"""Rating an agent, answering a rating, taking it back, and asking for a validation."""

from __future__ import annotations

import msgspec
import pytest
from eth_hash.auto import keccak

from renown.spec.inline import read_inline
from tests.e2e.acting.stack import Caller, Stack, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def rated(stack: Stack, rater: Caller) -> tuple[Caller, str]:
    """An agent's owner, and the agent's path; `rater` gave it its first feedback."""
    owner = await stack.account()
    agent = f"/v1/agents/{await stack.agent(owner.wallet)}"
    await rater.act("POST", f"{agent}/feedback", {"from": rater.me, "value": 80})
    return owner, agent


async def test_feedback__when_given__then_it_is_read_back_exactly_and_counts(stack: Stack) -> None:
    owner, rater = await stack.account(), await stack.account()
    agent = f"/v1/agents/{await stack.agent(owner.wallet)}"
    body = {"from": rater.me, "value": "99.70", "tag1": "uptime", "endpoint": "https://a.example"}
    await rater.act("POST", f"{agent}/feedback", body | {"file": {"text": "always there"}})
    (one,) = (await stack.get(f"{agent}/feedback"))["items"]
    assert (one["client"], one["index"], one["tag1"]) == (rater.me, "1", "uptime")
    assert int(one["value"]) * 10 ** (2 - one["decimals"]) == 9970
    written = read_inline(one["uri"].encode()).body or b""
    assert msgspec.json.decode(written)["text"] == "always there"
    assert one["content_hash"] == f"0x{keccak(written).hex()}"
    stats = await stack.get(f"{agent}/stats")
    assert (stats["feedback"]["given"], stats["feedback"]["clients"]) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"value": "eighty"}, "value"),
        ({"value": "1e3"}, "value"),
        ({"value": None}, "value"),
        ({"value": 10**38 + 1, "decimals": 0}, "value"),
        ({"value": -(10**38) - 1, "decimals": 0}, "value"),
        ({"value": 1, "decimals": 19}, "decimals"),
        ({"value": 1, "decimals": -1}, "decimals"),
        ({"value": "0.1234567890123456789"}, "decimals"),
    ],
)
async def test_feedback__when_value_or_decimals_are_none__then_400_and_nothing_stored(
    stack: Stack, wrong: dict[str, object], named: str
) -> None:
    rater = await stack.account()
    before = await stack.count("operation")
    path = f"/v1/agents/{await stack.agent(await stack.wallet())}/feedback"
    problem = await rater.refused(400, "bad-body", "POST", path, {"from": rater.me} | wrong)
    assert named in problem["detail"]
    assert await stack.count("operation") == before


@pytest.mark.parametrize("value", [10**38, -(10**38)])
async def test_feedback__at_the_contracts_edge__then_it_is_taken(stack: Stack, value: int) -> None:
    rater = await stack.account()
    agent = f"/v1/agents/{await stack.agent(await stack.wallet())}"
    body = {"from": rater.me, "value": str(value), "decimals": 18}
    await rater.act("POST", f"{agent}/feedback", body)
    (one,) = (await stack.get(f"{agent}/feedback"))["items"]
    assert (one["value"], one["decimals"]) == (str(value), 18)


async def test_feedback__about_an_agent_that_there_is_not__then_404(stack: Stack) -> None:
    rater = await stack.account()
    body = {"from": rater.me, "value": 1}
    path = "/v1/agents/31337:999999/feedback"
    await rater.refused(404, "agent-not-found", "POST", path, body)


async def test_feedback__about_ones_own_agent__then_the_chains_reason(stack: Stack) -> None:
    owner = await stack.account()
    path = f"/v1/agents/{await stack.agent(owner.wallet)}/feedback"
    before = await stack.count("operation")
    problem = await owner.refused(
        422, "call-would-fail", "POST", path, {"from": owner.me, "value": 1}
    )
    assert problem["reason"] == "Self-feedback not allowed"
    assert await stack.count("operation") == before


async def test_revocation__when_in_a_block__then_the_feedback_counts_no_more(stack: Stack) -> None:
    rater = await stack.account()
    _, agent = await rated(stack, rater)
    other = await stack.account()
    path = f"{agent}/feedback/{rater.me}/1"
    await other.refused(403, "wallet-not-proved", "DELETE", path)
    made = await rater.act("DELETE", path)
    assert (made["kind"], made["sender"]) == ("revoke", rater.me)
    (one,) = (await stack.get(path))["items"]
    assert one["revoked"] is True
    summary = await stack.get(f"{agent}/stats")
    assert (summary["feedback"]["given"], summary["feedback"]["revoked"]) == (1, 1)
    problem = await rater.refused(422, "call-would-fail", "DELETE", path)
    assert problem["reason"]
    await rater.refused(404, "feedback-not-found", "DELETE", f"{agent}/feedback/{rater.me}/2")


async def test_response__by_the_owner__then_it_stands_beside_the_feedback(stack: Stack) -> None:
    rater = await stack.account()
    owner, agent = await rated(stack, rater)
    path = f"{agent}/feedback/{rater.me}/1/responses"
    body = {"from": owner.me, "file": {"text": "thank you"}, "store": "hosted"}
    await owner.act("POST", path, body)
    (one,) = (await stack.get(path))["items"]
    assert one["responder"] == owner.me
    served = await stack.client.get(one["uri"])
    assert served.json() == {"text": "thank you"}
    assert one["content_hash"] == f"0x{keccak(served.content).hex()}"
    missing = f"{agent}/feedback/{rater.me}/7/responses"
    await owner.refused(404, "feedback-not-found", "POST", missing, body)


async def test_validation__when_asked_for_and_answered__then_both_are_read_back(
    stack: Stack,
) -> None:
    owner, validator = await stack.account(), await stack.account()
    agent = f"/v1/agents/{await stack.agent(owner.wallet)}"
    body = {"from": owner.me, "validator": validator.me, "file": {"work": "done"}}
    await owner.act("POST", f"{agent}/validations", body)
    (one,) = (await stack.get(f"{agent}/validations"))["items"]
    assert (one["validator"], one["response"]) == (validator.me, None)
    path = f"/v1/validations/{one['request_hash']}/response"
    answer = {"from": owner.me, "response": 90}
    refused = await owner.refused(422, "call-would-fail", "POST", path, answer)
    assert refused["reason"]
    too_good = {"from": validator.me, "response": 101}
    await validator.refused(400, "bad-body", "POST", path, too_good)
    await validator.act("POST", path, {"from": validator.me, "response": 90, "tag": "hard"})
    (one,) = (await stack.get(f"{agent}/validations"))["items"]
    assert (one["response"], one["tag"]) == (90, "hard")
    stats = await stack.get(f"{agent}/stats")
    assert stats["validations"] == {"requested": 1, "responded": 1}
    unknown = f"/v1/validations/0x{'ab' * 32}/response"
    await validator.refused(
        404, "validation-not-found", "POST", unknown, too_good | {"response": 1}
    )


async def test_feedback__with_a_file_we_host__then_the_crawler_reads_it_and_finds_it_true(
    stack: Stack,
) -> None:
    rater = await stack.account()
    agent = f"/v1/agents/{await stack.agent(await stack.wallet())}"
    body = {"from": rater.me, "value": 5, "file": {"text": "good"}, "store": "hosted"}
    await rater.act("POST", f"{agent}/feedback", body)

    async def read() -> bool:
        (one,) = (await stack.get(f"{agent}/feedback"))["items"]
        document = one["document"]
        return document is not None and document["verdict"] == "bytes"

    await until(read)
