"""Registration files in every spelling, the standard's and the wild's, as one registration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from renown.spec.documents import Claim, Document, Registration, Service, read_document
from renown.spec.documents.classes import STANDARD_TYPE

REGISTRY = "0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"
NO_ID = Claim(chain_id=1, registry=REGISTRY.lower())
RESPELT = ["nonstandard-spelling"]
ACCOUNT = f"eip155:1:{REGISTRY}"
STRICT: dict[str, Any] = {
    "type": STANDARD_TYPE,
    "name": "Harbour Pilot",
    "description": "Plans routes for container ships.",
    "image": "https://pilot.harbour.net/picture.png",
    "services": [
        {"name": "MCP", "endpoint": "https://pilot.harbour.net/mcp", "version": "2025-06-18"}
    ],
    "x402Support": True,
    "active": True,
    "registrations": [{"agentId": 42, "agentRegistry": f"eip155:8453:{REGISTRY}"}],
    "supportedTrust": ["reputation"],
}


def document(**changed: Any) -> Document:
    """A strict file with some fields changed; `...` takes one out."""
    value = {key: inner for key, inner in {**STRICT, **changed}.items() if inner is not ...}
    return read_document(json.dumps(value).encode())


def registration(**changed: Any) -> Registration:
    found = document(**changed).registration
    assert found is not None
    return found


def codes(found: Document) -> list[str]:
    return sorted({finding.code for finding in found.findings})


def test_strict_file__as_the_standard_has_it__is_read_so_without_findings() -> None:
    found = document()

    assert (found.klass, found.reading, found.findings) == ("registration", "strict", ())
    assert found.registration == Registration(
        type=STANDARD_TYPE,
        name="Harbour Pilot",
        description="Plans routes for container ships.",
        image="https://pilot.harbour.net/picture.png",
        services=(
            Service(
                position=0,
                kind="mcp",
                name="MCP",
                endpoint="https://pilot.harbour.net/mcp",
                version="2025-06-18",
            ),
        ),
        x402=True,
        active=True,
        claims=(Claim(chain_id=8453, registry=REGISTRY.lower(), agent_id=42),),
        trust=("reputation",),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"services": []},
        {"image": ""},
        {"description": ""},
        {"x402Support": ..., "active": ..., "supportedTrust": ..., "registrations": ...},
        {"supportedTrust": []},
        {"links": {"docs": "x"}, "updatedAt": 1_700_000_000},
    ],
)
def test_strict_file__with_what_the_standard_leaves_open__stays_strict(
    changed: dict[str, Any],
) -> None:
    assert document(**changed).reading == "strict"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"type": STANDARD_TYPE.replace("EIPS/", "EIPs/")}, ["type-variant"]),
        ({"type": STANDARD_TYPE.removesuffix("-v1")}, ["type-variant"]),
        ({"type": "erc8004:agent:1"}, ["type-variant"]),
        ({"type": "AIAgent"}, ["wrong-type"]),
        ({"type": 7}, ["wrong-type"]),
        ({"type": ...}, ["missing-type"]),
        ({"name": ...}, ["missing-name"]),
        ({"name": ""}, ["missing-name"]),
        ({"name": " \n"}, ["missing-name"]),
        ({"name": None}, ["missing-name"]),
        ({"name": ["a"]}, ["missing-name", "wrong-json-type"]),
        ({"description": ...}, ["missing-description"]),
        ({"description": {"en": "x"}}, ["missing-description", "wrong-json-type"]),
        ({"image": ...}, ["missing-image"]),
        ({"image": None}, ["missing-image"]),
        ({"services": ...}, ["missing-services"]),
        ({"services": None}, ["missing-services"]),
        ({"active": "yes"}, ["wrong-json-type"]),
        ({"x402Support": {"enabled": True}}, ["wrong-json-type"]),
        ({"x402Support": ..., "x402support": True}, ["nonstandard-spelling"]),
        ({"supportedTrust": ..., "supportedTrusts": ["reputation"]}, ["nonstandard-spelling"]),
        ({"supportedTrust": [{"type": "reputation"}]}, ["wrong-json-type"]),
        ({"registrations": {"agentId": 1}}, ["malformed-registration", "wrong-json-type"]),
    ],
)
def test_tolerant_file__each_allowance__is_a_finding(
    changed: dict[str, Any], expected: list[str]
) -> None:
    found = document(**changed)

    assert (found.reading, codes(found)) == ("tolerant", expected)


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"x402Support": ..., "x402support": False}, "x402", False),
        ({"x402Support": ..., "x402Enabled": "true"}, "x402", True),
        ({"x402Support": ..., "x402": {"enabled": True}}, "x402", True),
        ({"x402Support": False, "x402support": True}, "x402", False),
        ({"x402Support": ...}, "x402", None),
        ({"active": "false"}, "active", False),
        ({"active": 1}, "active", True),
        ({"active": "perhaps"}, "active", None),
        ({"supportedTrust": ..., "trustModels": ["a", "b", "a", ""]}, "trust", ("a", "b")),
        ({"supportedTrust": "reputation"}, "trust", ("reputation",)),
        ({"supportedTrust": [{"name": "tee"}, 5, None]}, "trust", ("tee", "5")),
        ({"tags": ["x", "y"]}, "tags", ("x", "y")),
        ({"keywords": "z"}, "tags", ("z",)),
        ({"updatedAt": 1_700_000_000}, "updated_at", 1_700_000_000),
        ({"updatedAt": 1_700_000_000_000}, "updated_at", 1_700_000_000),
        ({"updated_at": "2026-02-01T12:00:00Z"}, "updated_at", 1_769_947_200),
        ({"updatedAt": "soon"}, "updated_at", None),
        ({"updatedAt": 10**400}, "updated_at", None),
        ({"links": {"a": [1]}, "zz": 1}, "other", {"links": {"a": [1]}, "zz": 1}),
        ({"name": "x" * 500}, "name", "x" * 200),
        ({"name": "  A\u202eB  "}, "name", "A\ufffdB"),
    ],
)  # fmt: skip
def test_fields__in_another_form__are_taken_as_meant(
    changed: dict[str, Any], field: str, value: Any
) -> None:
    assert getattr(registration(**changed), field) == value


@pytest.mark.parametrize(
    ("entry", "kind", "name", "endpoint"),
    [
        ({"name": "mcp", "endpoint": "https://a.net/"}, "mcp", "mcp", "https://a.net/"),
        ({"name": "My MCP server", "endpoint": "https://a.net/"}, "mcp", "My MCP server", "https://a.net/"),
        ({"name": "A2A", "url": "https://a.net/"}, "a2a", "A2A", "https://a.net/"),
        ({"type": "OASF", "serviceEndpoint": "https://a.net/"}, "oasf", "OASF", "https://a.net/"),
        ({"name": "web", "serviceEndpoint": {"uri": "https://a.net/"}}, "web", "web", "https://a.net/"),
        ({"name": "api", "base_url": "https://a.net/"}, "other", "api", "https://a.net/"),
        ({"name": "ENS", "endpoint": "pilot.eth"}, "ens", "ENS", "pilot.eth"),
        ({"name": "DID", "endpoint": "did:web:a.net"}, "did", "DID", "did:web:a.net"),
        ({"name": "email", "endpoint": "a@b.net"}, "email", "email", "a@b.net"),
        ({"name": "agentWallet", "endpoint": ACCOUNT}, "wallet", "agentWallet", ACCOUNT),
        ({"name": "Twitter", "endpoint": "https://x.com/a"}, "social", "Twitter", "https://x.com/a"),
        ({"endpoint": ACCOUNT}, "wallet", "", ACCOUNT),
        ({"endpoint": "did:key:z6"}, "did", "", "did:key:z6"),
        ({"endpoint": "pilot.eth"}, "ens", "", "pilot.eth"),
        ({"endpoint": "https://a.net/"}, "other", "", "https://a.net/"),
        ("https://a.net/x", "other", "", "https://a.net/x"),
        ("llm", "other", "llm", None),
        (["MCP", "https://a.net/"], "mcp", "MCP", "https://a.net/"),
        ({"name": "x402", "endpoint": None}, "x402", "x402", None),
    ],
)  # fmt: skip
def test_services__in_any_shape__have_kind_name_and_endpoint(
    entry: Any, kind: str, name: str, endpoint: str | None
) -> None:
    (service,) = registration(services=[entry]).services

    assert (service.kind, service.name, service.endpoint) == (kind, name, endpoint)


@pytest.mark.parametrize(
    ("services", "names"),
    [
        ({"name": "web", "endpoint": "https://a.net/"}, ["web"]),
        ({"mcp": "https://a.net/mcp", "a2a": {"endpoint": "https://a.net/"}}, ["mcp", "a2a"]),
        ("https://a.net/", [""]),
        ([None, 5, {}, [], {"name": "web", "endpoint": "https://a.net/"}], ["web"]),
        (7, []),
    ],
)
def test_services__not_a_list_of_objects__are_found_and_noted(
    services: Any, names: list[str]
) -> None:
    found = document(services=services)

    assert found.registration is not None
    assert [service.name for service in found.registration.services] == names
    assert "wrong-json-type" in codes(found)


def test_services__older_name__counts_only_where_the_standard_one_is_empty() -> None:
    old = [{"name": "A2A", "endpoint": "https://old.net/"}]

    assert registration(services=..., endpoints=old).services[0].endpoint == "https://old.net/"
    assert registration(services=[], endpoints=old).services[0].endpoint == "https://old.net/"
    assert registration(endpoints=old).services[0].kind == "mcp"


def test_services__what_they_offer__is_found_in_every_spelling() -> None:
    entry = {
        "name": "MCP",
        "endpoint": "https://a.net/",
        "a2aSkills": ["a/b", {"id": "c"}],
        "domains": "d",
        "mcpTools": [{"name": "search"}, "sum", "search", 3, None, {"x": 1}],
        "prompts": ["p"],
        "capabilities": {"tools": ["not seen"], "resources": {"r1": {}, "r2": {}}},
    }  # fmt: skip
    (service,) = registration(services=[entry]).services

    assert service.skills == ("a/b", "c")
    assert (service.domains, service.prompts) == (("d",), ("p",))
    assert service.tools == ("search", "sum", "3")
    assert service.resources == ("r1", "r2")

    (older,) = registration(
        services=[{"name": "mcp", "endpoint": "https://a.net/", "capabilities": ["t1", "t2"]}]
    ).services
    assert older.tools == ("t1", "t2")


def test_lists_beside_the_services__are_given_to_the_service_they_belong_to() -> None:
    found = registration(oasf_skills=["x/y"], mcpTools=["t"])

    assert [(s.kind, s.tools, s.skills) for s in found.services] == [
        ("mcp", ("t",), ()),
        ("oasf", (), ("x/y",)),
    ]


def test_b4_services__thousands_of_them__are_bounded() -> None:
    found = document(services=[{"name": "web", "endpoint": "https://a.net/"}] * 600)

    assert found.registration is not None
    assert len(found.registration.services) == 256
    assert "too-many-values" in codes(found)
    assert len(found.findings) < 100


@pytest.mark.parametrize(
    ("entry", "claim", "expected"),
    [
        ({"agentId": 0, "agentRegistry": ACCOUNT}, (1, 0), []),
        ({"agentId": "7", "agentRegistry": ACCOUNT}, (1, 7), ["wrong-json-type"]),
        ({"agentId": 7, "agentRegistry": f"erc8004:1:{REGISTRY}"}, (1, 7), RESPELT),
        ({"agentId": 7, "agentRegistry": f"eip155:1:{REGISTRY}:7"}, (1, 7), RESPELT),
        ({"agentId": 7, "chainId": 1, "contract": REGISTRY}, (1, 7), RESPELT),
        ({"agentId": 7, "chainId": "eip155:1", "registryAddress": REGISTRY}, (1, 7), RESPELT),
    ],
)  # fmt: skip
def test_c5_claims__in_any_form__name_chain_registry_and_agent(
    entry: dict[str, Any], claim: tuple[int, int], expected: list[str]
) -> None:
    found = document(registrations=[entry])

    assert found.registration is not None
    assert found.registration.claims == (
        Claim(chain_id=claim[0], registry=REGISTRY.lower(), agent_id=claim[1]),
    )
    assert codes(found) == expected


@pytest.mark.parametrize(
    ("entry", "claim"),
    [
        ({"agentRegistry": ACCOUNT}, NO_ID),
        ({"agentId": None, "agentRegistry": ACCOUNT.lower()}, NO_ID),
        ({"agentId": 5, "agentRegistry": "eip155:1"}, Claim(chain_id=1, agent_id=5)),
        ({"agentId": "{agentId}", "agentRegistry": "eip155:1:{identityRegistry}"}, Claim()),
        ({"agentId": -1, "agentRegistry": "x"}, Claim()),
        ({"agentId": 2**63, "agentRegistry": "x"}, Claim()),
        ({"agentId": True, "agentRegistry": f"eip155:{10**30}:{REGISTRY}"}, Claim()),
        ("8453:42", Claim()),
        ([], Claim()),
    ],
)  # fmt: skip
def test_c5_claims__not_readable__are_none_where_they_are_not(entry: Any, claim: Claim) -> None:
    found = document(registrations=[entry])

    assert found.registration is not None
    assert found.registration.claims == (claim,)
    assert "malformed-registration" in codes(found)


@pytest.mark.parametrize(
    ("value", "klass", "reading"),
    [
        ({"type": "x8004"}, "registration", "tolerant"),
        ({"name": "a", "services": []}, "untyped-registration", "tolerant"),
        ({"registrations": []}, "domain-proof", "tolerant"),
        ({"name": "a", "url": "https://a.net/", "skills": [{"id": "s"}]}, "agent-card", "tolerant"),
        ({"name": "a", "defaultInputModes": []}, "agent-card", "tolerant"),
        ({"name": "a", "image": "ipfs://x", "attributes": []}, "nft-metadata", "tolerant"),
        ({"clientAddress": "0x", "agentId": 1, "value": 1}, "feedback", "none"),
        ({"status": "error", "code": 404}, "object", "none"),
        ({"name": "left-pad", "version": "1.0.0"}, "object", "none"),
        ({}, "object", "none"),
        ([1, 2], "not-an-object", "none"),
        ("text", "not-an-object", "none"),
        (None, "not-an-object", "none"),
    ],
)  # fmt: skip
def test_class__of_whatever_is_met__is_told(value: Any, klass: str, reading: str) -> None:
    found = read_document(json.dumps(value).encode())

    assert (found.klass, found.reading) == (klass, reading)
    assert (found.registration is None) == (reading == "none")


def test_agent_card__in_place_of_a_registration__gives_its_name_and_one_service() -> None:
    card = {
        "name": "Oracle",
        "description": "Tells.",
        "url": "https://o.net/a2a",
        "protocolVersion": "0.3.0",
        "skills": [{"id": "tell", "name": "Tell"}],
        "provider": {"organization": "o"},
    }
    found = read_document(json.dumps(card).encode())

    assert found.registration is not None
    assert found.registration.name == "Oracle"
    (service,) = found.registration.services
    assert (service.kind, service.endpoint, service.skills) == (
        "a2a",
        "https://o.net/a2a",
        ("Tell",),
    )
    assert codes(found) == ["not-a-registration"]


@pytest.mark.parametrize("wrap", [lambda text: f"[{text}]", json.dumps])
def test_object__inside_a_list_or_a_text__is_read_and_noted(wrap: Any) -> None:
    found = read_document(wrap(json.dumps(STRICT)).encode())

    assert (found.klass, found.reading, codes(found)) == (
        "registration",
        "tolerant",
        ["wrong-json-type"],
    )
    assert found.registration == document().registration


@pytest.mark.parametrize(
    "name", ["Your Agent Name", "my agent", "{agentName}", "<your name>", "TODO"]
)
def test_placeholder__as_a_name__is_found(name: str) -> None:
    assert [(f.code, f.path) for f in document(name=name).findings] == [("placeholder", "/name")]


@pytest.mark.parametrize(
    "text",
    ["Your personal agent for 50% less", "Agents", "exampled", "{\"json\": 1} inside", "A < B"],
)  # fmt: skip
def test_placeholder__in_honest_words__is_not_seen(text: str) -> None:
    assert document(name=text, description=text).findings == ()


def test_template__of_one_mint__is_the_same_whatever_it_filled_in() -> None:
    first = document(
        name="Ghost 1", description="Ghost 1 of 0xabc00000000000000000000000000000000001"
    )
    second = document(
        name="Ghost 977",
        description="Ghost 977 of 0xdef00000000000000000000000000000000977",
        image="https://pilot.harbour.net/other.png",
        registrations=[{"agentId": 977, "agentRegistry": f"eip155:8453:{REGISTRY}"}],
    )

    assert first.template is not None
    assert first.template == second.template
    assert first.template != document(name="Ghost 1", description="Something else").template
    assert first.sha256 != second.sha256
