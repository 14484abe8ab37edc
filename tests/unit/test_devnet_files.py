from __future__ import annotations

import json
from random import Random

import pytest
from eth_hash.auto import keccak

from renown.chain.devnet import attachments
from renown.chain.devnet.files import AR_HOST, IPFS_HOST, Files, Home
from renown.chain.devnet.ipfs import file_block, folder_block, raw_block
from renown.chain.devnet.personas import persona
from renown.chain.devnet.registrations import careful_file, registration_file
from renown.chain.devnet.uri_forms import URI_FORMS, Draft
from renown.chain.devnet.world import plan_world

RATED = {
    "agentRegistry": "eip155:1:0x8004A169FB4a3325136EB29fA0ceB6D2e539a432",
    "agentId": 22,
    "clientAddress": "eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "createdAt": "2026-02-01T12:00:00Z",
    "value": 87,
    "valueDecimals": 0,
    "tag1": "starred",
    "proofOfPayment": {
        "fromAddress": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "toAddress": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "chainId": "8453",
        "txHash": "0x" + "11" * 32,
    },
}


def test_blocks__known_contents__have_the_addresses_that_ipfs_gives_them() -> None:
    assert raw_block(b"hello world").cid == (
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    )
    assert file_block(b"hello world\n").cid == "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
    assert file_block(b"hello world").cid == "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"
    assert folder_block({}).cid == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


@pytest.mark.parametrize(
    ("form", "digest"),
    [
        (lambda content: content, "3d8c23eb"),
        (attachments.sorted_compact, "380a0e23"),
        (attachments.sorted_spaced, "805525a1"),
        (attachments.sorted_pruned, "e1cc9a21"),
    ],
)
def test_serialisations__a_feedback_file__hash_as_the_sdks_do(form, digest) -> None:
    content = json.dumps(RATED, indent=2).encode()

    assert keccak(form(content)).hex().startswith(digest)


def test_serialisations__numbers_that_are_written_in_two_ways__stay_as_served() -> None:
    content = json.dumps(RATED | {"value": 2**53}).encode()

    assert attachments.sorted_compact(content) == content


def test_pin__any_way__the_gateway_has_it_and_its_block() -> None:
    files, content = Files(), b"some file"
    raw, added = files.pin(content), files.pin_file(content)
    folder = files.pin_folder({"agent.json": content})

    for path in (raw, added, f"{folder}/agent.json"):
        assert files.pages[IPFS_HOST, f"/ipfs/{path}"].body == content
    block = files.pages[IPFS_HOST, f"/ipfs/{raw}?format=raw"].body
    assert block == content
    block = files.pages[IPFS_HOST, f"/ipfs/{added}?format=raw"].body
    assert block != content
    assert content in block
    assert (IPFS_HOST, f"/ipfs/{folder}") not in files.pages


def test_pin_other__serves_what_the_address_does_not_name() -> None:
    files = Files()
    cid = files.pin_other(b"true", b"false")

    assert cid == raw_block(b"true").cid
    assert files.pages[IPFS_HOST, f"/ipfs/{cid}"].body == b"false"


def test_edit__of_a_file_on_a_host__stays_there_and_differs_by_tag() -> None:
    files, agent = Files(), persona(1, 7, host="seven.example")
    files.settle(agent)
    uri = files.move_in(agent, Home(agent.host, "/agent.json"), careful_file(agent))
    before = files.pages[agent.host, "/agent.json"]

    seen = {before.body}
    for number in range(1, 6):
        files.edit(agent.agent_id, 1_800_000_000.0 + number)
        after = files.pages[agent.host, "/agent.json"]
        seen.add(after.body)
        assert after.etag != before.etag
        assert after.modified_at_seconds == 1_800_000_000.0 + number

    assert uri == b"https://seven.example/agent.json"
    assert len(seen) == 6
    assert all(json.loads(body)["name"] == agent.name for body in seen)


def test_uri_forms__same_agent_and_file__same_uri_and_pages() -> None:
    for form in URI_FORMS.values():
        made = []
        for _ in range(2):
            agent, files = persona(3, 5), Files()
            uri = form(Draft(agent, careful_file(agent), files))
            made.append((uri, files.pages))
        assert made[0] == made[1]


def test_persona__seed_and_id__say_it_all() -> None:
    assert persona(1, 5) == persona(1, 5)
    assert persona(1, 5) != persona(2, 5)
    people = [persona(1, number) for number in range(600)]

    assert len({agent.host for agent in people}) == 600
    assert len({agent.temper for agent in people}) == 8
    assert len({agent.domain_proof for agent in people}) == 5
    assert any(not agent.name.isascii() for agent in people)
    for agent in people:
        assert agent.host.isascii()
        assert json.loads(registration_file(agent))["name"] == agent.name


def test_plan_world__files__same_for_the_same_seed_and_all_on_reserved_names() -> None:
    first, again, other = Files(), Files(), Files()
    steps = plan_world(5, files=first)

    assert steps == plan_world(5, files=again)
    assert steps == plan_world(5)  # publishing changes nothing on chain
    assert first.pages == again.pages
    plan_world(6, files=other)
    assert first.pages.keys() != other.pages.keys()
    assert all(host.endswith(".example") for host, _ in first.pages)
    assert AR_HOST in {host for host, _ in first.pages}


def test_plan_world__any_seed__shows_what_searches_and_findings_need() -> None:
    files = Files()
    plan_world(4, files=files)

    names = [agent.name for agent in files.agents.values()]
    assert sum(not name.isascii() for name in names) >= 3
    assert len({agent.trade.nouns for agent in files.agents.values()}) >= 8
    bodies = [page.body for page in files.pages.values()]
    assert any("Аmbеr".encode() in body for body in bodies)  # Cyrillic among Latin
    assert sum(b"Lucky Fox #" in body for body in bodies) == 5
    assert any(len(body) > 2 * 1024 * 1024 for body in bodies)


def test_attach__content__is_where_its_uri_says() -> None:
    files, rng = Files(), Random(1)
    for number in range(60):
        content = f"file {number}".encode()
        uri, content_hash = attachments.attach(rng, files, content)
        scheme, _, rest = uri.decode().partition("://")
        if scheme == "ipfs":
            assert files.pages[IPFS_HOST, f"/ipfs/{rest}"].body == content
            assert rest == raw_block(content).cid
        elif scheme == "https":
            host, _, path = rest.partition("/")
            assert files.pages[host, f"/{path}"].body == content
        assert len(content_hash) == 32


def test_attach__always__never_leaves_the_uri_empty() -> None:
    # The reputation registry refuses a response without one.
    files, rng = Files(), Random(2)

    assert all(attachments.attach(rng, files, b"x", always=True)[0] for _ in range(100))
    assert not all(attachments.attach(rng, files, b"x")[0] for _ in range(100))
