"""Templates of everything the mock chain says: log heads with ABI words, URIs, feedback, headers.

A template is bytes for `%`. All hex is without 0x unless the template writes it.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

from eth_hash.auto import keccak

IDENTITY = bytes.fromhex("8004a818bfb912233c491871b3d84c89a494bd9e")
REPUTATION = bytes.fromhex("8004b663056a597dffe9eccc1965a193b7388713")
VALIDATION = bytes.fromhex("8004cb1bf31daf7788923b405b754f57aceb4272")
REGISTRIES = (IDENTITY, REPUTATION, VALIDATION)
"""The official testnet addresses, where the devnet has them too."""

IMPLEMENTATIONS = (
    0x7274E874CA62410A93BD8BF61C69D8045E399C02,
    0x16E0FA7F7C56B9A767E34B192B51F921BE31DA34,
    0xDB31F5D9167F8EBC8B30FBBF814C4D297C2D7F99,
)
IMPLEMENTATION_SLOT = int.from_bytes(keccak(b"eip1967.proxy.implementation")) - 1
OWNER_OF, GET_LAST_INDEX, GET_VERSION = (
    keccak(signature)[:4].hex()
    for signature in (b"ownerOf(uint256)", b"getLastIndex(uint256,address)", b"getVersion()")
)
ADMIN = 0x547289319C3E6AEDB179C0B8E8AF0B5ACD062603

WORD = 1 << 256
_ODD = int.from_bytes(keccak(b"account")) | 1

SIGNATURES = {
    "transfer": "Transfer(address,address,uint256)",
    "approved_all": "ApprovalForAll(address,address,bool)",
    "metadata_update": "MetadataUpdate(uint256)",
    "registered": "Registered(uint256,string,address)",
    "uri_updated": "URIUpdated(uint256,string,address)",
    "metadata_set": "MetadataSet(uint256,string,string,bytes)",
    "given": (
        "NewFeedback(uint256,address,uint64,int128,uint8,"
        "string,string,string,string,string,bytes32)"
    ),
    "revoked": "FeedbackRevoked(uint256,address,uint64)",
    "responded": "ResponseAppended(uint256,address,uint64,address,string,bytes32)",
    "requested": "ValidationRequest(address,uint256,string,bytes32)",
    "answered": "ValidationResponse(address,uint256,bytes32,uint8,string,bytes32,string)",
    "upgraded": "Upgraded(address)",
    "admin_changed": "OwnershipTransferred(address,address)",
    "initialized": "Initialized(uint64)",
}


def account_address(account: int) -> int:
    """Address of an account of the world, as a number; no two accounts share one."""
    return (account + 1) * _ODD % (1 << 160)


def account_of(address: bytes) -> int:
    """The account whose address this is; a number no account has if there is none."""
    account = int.from_bytes(address) * pow(_ODD, -1, 1 << 160) % (1 << 160) - 1
    return account if account >= 0 else 1 << 160


def account_word(account: int) -> bytes:
    """The address padded to a word, in hex."""
    return b"%064x" % account_address(account)


def request_hash(action: int) -> int:
    """Hash of the validation request that is the world's action number `action`."""
    return (action + 1) * _ODD * _ODD % WORD


def hash_number(content: bytes) -> int:
    """keccak256 as a number, the way topics are filled in."""
    return int.from_bytes(keccak(content))


def words(*fields: int | bytes) -> bytes:
    """ABI words of numbers and strings, in hex; strings go to the tail in order."""
    head, tail, offset = b"", b"", 32 * len(fields)
    for field in fields:
        if isinstance(field, int):
            head += b"%064x" % (field % WORD)
            continue
        head += b"%064x" % (offset + len(tail) // 2)
        tail += b"%064x" % len(field) + field.hex().encode() + b"0" * (-len(field) % 32 * 2)
    return head + tail


def log(registry: int, event: str, topics: str, data: bytes = b"") -> bytes:
    """Template of a log's JSON up to the end of its data, with a comma before it.

    Args:
        topics: what each topic after the first takes: "n" a number, "w" a ready word.
        data: words, which may take values after the topics' own.
    """
    taken = {"n": b',"0x%064x"', "w": b',"0x%b"'}
    return b',{"address":"0x%b","topics":["0x%b"%b],"data":"0x%b' % (
        REGISTRIES[registry].hex().encode(),
        keccak(SIGNATURES[event].encode()).hex().encode(),
        b"".join(taken[topic] for topic in topics),
        data,
    )


def tail(number: int, block_hash: bytes, seconds: int) -> bytes:
    """The rest of a log after its data; takes transaction hash, transaction index, log index."""
    return (
        b'","blockNumber":"0x%x","transactionHash":"0x%%b","transactionIndex":"0x%%x",'
        b'"blockHash":"%b","blockTimestamp":"0x%x","logIndex":"0x%%x","removed":false}'
        % (number, block_hash, seconds)
    )


WALLET_KEY, ENTRY_KEY = b"agentWallet", b"category"
WALLET_HASH, ENTRY_HASH = hash_number(WALLET_KEY), hash_number(ENTRY_KEY)
WALLET_TOPIC, ENTRY_TOPIC = b"%064x" % WALLET_HASH, b"%064x" % ENTRY_HASH

# The words of a string whose template is filled in behind the offset word, and of wallet values.
ZERO = b"0" * 64
NO_URI = words(b"")
NO_WALLET = words(WALLET_KEY, b"")
WALLET = words(WALLET_KEY, bytes(20))[:-64] + b"%b" + b"0" * 24
ENTRY = words(ENTRY_KEY, b"assistant")
REQUEST = words(b"ipfs://bafkreirequest")
ANSWER = words(0, b"", 0, b"code-audit")[64:]  # the response, first word, is filled in

TRANSFER = log(0, "transfer", "wwn")
APPROVED_ALL = log(0, "approved_all", "ww", b"%064x" % 1)
METADATA_UPDATE = log(0, "metadata_update", "", b"%064x")
REGISTERED = log(0, "registered", "nw", b"%b")
URI_UPDATED = log(0, "uri_updated", "nw", b"%b")
METADATA_SET = log(0, "metadata_set", "nw", b"%b")
REVOKED = log(1, "revoked", "nwn")
RESPONDED = log(1, "responded", "nww", b"%064x%b")
REQUESTED = log(2, "requested", "wnn", REQUEST)
ANSWERED = log(2, "answered", "wnn", b"%064x" + ANSWER)

DEPLOYED = tuple(
    (registry, head)
    for registry, implementation in enumerate(IMPLEMENTATIONS)
    for head in (
        log(registry, "upgraded", "n") % implementation,
        log(registry, "admin_changed", "nn") % (0, ADMIN),
        log(registry, "initialized", "", b"%064x" % 1),
    )
)

HEADER = (
    b'{"baseFeePerGas":"0x3b9aca00","difficulty":"0x0","extraData":"0x","gasLimit":"0x3938700",'
    b'"gasUsed":"0x1ac3f08","hash":"%b","logsBloom":"0x%b",'
    b'"miner":"0x4200000000000000000000000000000000000011",'
    b'"mixHash":"0x' + b"5c" * 32 + b'","nonce":"0x0000000000000000","number":"0x%x",'
    b'"parentHash":"%b","receiptsRoot":"0x%064x",'
    b'"sha3Uncles":"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",'
    b'"size":"0x7a12","stateRoot":"0x%064x","timestamp":"0x%x","transactions":[%b%b%b],'
    b'"transactionsRoot":"0x' + b"a7" * 32 + b'","uncles":[]}'
)
"""Takes hash, bloom, number, parent, two roots, time, and the transactions in three pieces."""


# Strangers' strings ----------------------------------------------------------------------------

Uri = Callable[[int], bytes]
"""ABI words (string behind its offset) of the URI of an agent."""

_DATA_SHARE, _HTTPS_SHARE = 0.80, 0.18  # of agents with a URI; the rest are ipfs


def uris(rng: random.Random, count: int) -> list[Uri]:
    """Forms of agent URIs in the network's shares; each differs from agent to agent."""
    data, https = round(count * _DATA_SHARE), round(count * _HTTPS_SHARE)
    return (
        [_data_uri(rng) for _ in range(data)]
        + [_text_uri(b"https://agents%d.example/%b/card.json" % (rng.randrange(99), b"#" * 12))
           for _ in range(https)]
        + [_text_uri(b"ipfs://bafkrei" + rng.randbytes(20).hex().encode() + b"#" * 12)
           for _ in range(count - data - https)]
    )  # fmt: skip


def _data_uri(rng: random.Random) -> Uri:
    """A registration file of 500 to 1,000 bytes as base64, so a URI of about 1 kB."""
    names = ["search", "trade", "audit", "translate", "draw", "code", "book", "pay", "watch"]
    services = [
        {"name": name, "endpoint": f"https://agent.example/{rng.randbytes(6).hex()}/{name}"}
        for name in rng.sample(["MCP", "A2A", "web", "OASF", "ENS", "email"], rng.randint(1, 4))
    ]
    card = {
        "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
        "name": "@",
        "description": " ".join(rng.choices(names, k=rng.randint(30, 60))),
        "image": "",
        "services": services,
        "x402Support": rng.random() < 0.6,
        "active": True,
        "registrations": [],
        "supportedTrust": ["reputation"],
    }
    before, after = json.dumps(card, separators=(",", ":")).encode().split(b"@")
    before += b" " * (-len(before) % 3)  # so that the name's 12 digits are 16 characters of base64
    prefix = b"data:application/json;base64," + base64.b64encode(before)
    suffix = base64.b64encode(after)
    whole = words(prefix + b"#" * 16 + suffix)
    hashes = (b"#" * 16).hex().encode()
    front, back = whole.split(hashes)
    b64encode = base64.b64encode

    def uri(agent: int) -> bytes:
        return front + b64encode(b"%012d" % agent).hex().encode() + back

    return uri


def _text_uri(pattern: bytes) -> Uri:
    front, back = words(pattern).split((b"#" * 12).hex().encode())

    def uri(agent: int) -> bytes:
        return front + (b"%012d" % agent).hex().encode() + back

    return uri


def feedbacks(rng: random.Random, count: int) -> tuple[list[bytes], list[int]]:
    """Heads of NewFeedback logs (taking agent, client word, index), and the hash of each tag1.

    Two thirds are one tag with the constant 1, as on Base.
    """
    ratings = [_rating(rng) for _ in range(count)]
    tags = {rating[2]: hash_number(rating[2]) for rating in ratings}
    heads = [_feedback(rng, *rating, tags[rating[2]]) for rating in ratings]
    return heads, [tags[rating[2]] for rating in ratings]


def responses(rng: random.Random, count: int) -> list[bytes]:
    """Words of ResponseAppended behind the index."""
    return [
        words(0, b"ipfs://bafkrei" + rng.randbytes(26).hex().encode(), rng.getrandbits(256))[64:]
        for _ in range(count)
    ]


def _rating(rng: random.Random) -> tuple[int, int, bytes, bytes]:
    """Value, decimals, tag1, tag2."""
    if rng.random() < 0.664:
        return 1, 0, b"miner-vouch", b""
    match rng.randrange(8):
        case 0:
            return rng.randint(0, 10_000), 2, b"uptime", b""
        case 1:
            return rng.randint(5, 4_000), 0, b"responseTime", b""
        case 2:
            return rng.randint(-99, 99), 1, b"tradingYield", rng.choice([b"day", b"week", b"year"])
        case 3:
            return rng.randint(0, 10**18), 18, b"reliability", b""
        case 4:
            return rng.randint(0, 1), 0, b"reachable", b""
        case 5:
            return rng.randint(0, 100), 0, b"custom-%d" % (500 * rng.random() ** 3), b"beta"
        case _:
            tag = rng.choice([b"starred", b"quality", b"trust", b"liveness", b"helpful", b""])
            return rng.randint(0, 100), 0, tag, b""


def _feedback(
    rng: random.Random, value: int, decimals: int, tag1: bytes, tag2: bytes, tag_hash: int
) -> bytes:
    full = rng.random() < 0.5
    uri = b"ipfs://bafkrei" + rng.randbytes(26).hex().encode() if full else b""
    endpoint = b"https://agent.example/api/%d" % rng.randrange(10**6) if rng.random() < 0.4 else b""
    content = rng.getrandbits(256) if full else 0
    behind_index = words(0, value, decimals, tag1, tag2, endpoint, uri, content)[64:]
    head = log(1, "given", "nw", b"%064x" + behind_index)
    return head.replace(b'],"data"', b',"0x%064x"],"data"' % tag_hash)
