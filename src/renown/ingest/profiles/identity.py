"""What an agent's chain, file, hosts and neighbours say about who it is. Pure.

ERC-8004, "Linking the file to the chain, and domain verification": the chain points to the file,
the file points back, and each host may confirm both. Only where all agree is a host verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from renown.spec.documents.model import Finding, Registration
from renown.spec.protocols import Declared
from renown.spec.uris import parse_uri, well_known
from renown.store.domains import Heard, Wanted
from renown.store.profile_material import Material, Neighbour

DomainState = Literal["pending", "confirmed", "contradicted", "missing", "unreachable"]

MOST_HOSTS = 4
"""Of one agent; a file that names more is not asked about more."""

# Where strangers put files side by side on one host, or content-addressed ones below it, so that
# serving one proves nothing. A platform that gives each tenant a host of its own is none of these.
SHARED_HOSTS = frozenset(
    {
        *("4everland.io", "ar-io.net", "arweave.net", "cf-ipfs.com", "cloudflare-ipfs.com"),
        *("dweb.link", "infura-ipfs.io", "ipfs.io", "ipfs.tech", "irys.xyz", "lighthouse.storage"),
        *("mypinata.cloud", "nftstorage.link", "pinata.cloud", "w3s.link", "web3.storage"),
        *("bitbucket.org", "github.com", "githubusercontent.com", "gitlab.com", "codeberg.org"),
        *("cdn.jsdelivr.net", "esm.sh", "unpkg.com", "statically.io"),
        *("s3.amazonaws.com", "storage.googleapis.com", "firebasestorage.googleapis.com"),
        *("blob.core.windows.net", "drive.google.com", "sites.google.com", "docs.google.com"),
        *("dropbox.com", "dropboxusercontent.com", "jsonbin.io", "jsonblob.com", "npoint.io"),
        *("pastebin.com", "hastebin.com", "rentry.co", "notion.so", "x.com", "twitter.com", "t.me"),
        *("catbox.moe", "filebase.io", "ipfscdn.io", "huggingface.co", "hf.co", "arweave.dev"),
    }
)
_BUCKETS = re.compile(r"s3([.-][a-z0-9-]+)?\.amazonaws\.com")

PATIENCE_FAILURES = 3
"""Failures in a row after which a file that was read once confirms its host no more."""


class Judged(msgspec.Struct, frozen=True):
    """One host of an agent and how its check came out.

    `alone`: confirmed by nothing but the agent's own file being served there.
    """

    host: str
    state: DomainState
    alone: bool = False


def names_agent(registration: Registration | None, material: Material) -> bool:
    """Whether the file says that it is of this very agent (chain, registry and id)."""
    if registration is None:
        return False
    registry = "0x" + material.registry.hex()
    return any(
        claim.chain_id == material.chain_id
        and claim.registry == registry
        and claim.agent_id == material.agent_id
        for claim in registration.claims
    )


def wanted_hosts(
    material: Material, registration: Registration | None, declared: Sequence[Declared]
) -> list[Wanted]:
    """The hosts whose word about this agent is asked for: its own URI's, then its endpoints'.

    Over https only, without a port of their own, at most `MOST_HOSTS`; shared hosts are left out,
    because nobody can put a well-known file there for one agent.
    """
    if registration is None:
        return []
    own = _uri_host(material)
    # Read at another host in the end, the file proves nothing about the first one.
    if own is not None and material.final_url and own != _https_host(material.final_url.encode()):
        own = None
    hosts = dict.fromkeys([own] if own else [])
    hosts.update(dict.fromkeys(filter(None, (_https_host(one.url.encode()) for one in declared))))
    return [
        Wanted(material.chain_id, material.agent_id, host, well_known(host), by_uri=host == own)
        for host in hosts
        if not shared(host)
    ][:MOST_HOSTS]


def shared(host: str) -> bool:
    """Whether strangers put files under this host."""
    labels = host.split(".")
    return _BUCKETS.fullmatch(host) is not None or any(
        ".".join(labels[n:]) in SHARED_HOSTS for n in range(len(labels))
    )


def judge(heard: Heard, material: Material, *, points_back: bool, crowded: bool) -> Judged:
    """What the host says of the agent of `material`.

    Args:
        points_back: the agent's own file names the agent (`names_agent`).
        crowded: files of several owners are served there, so that serving one proves nothing.
    """
    state = _by_file(heard)
    if state == "confirmed" or not heard.by_uri or not points_back or crowded:
        return Judged(heard.host, state)
    if material.outcome in ("ok", "not-modified"):
        return Judged(heard.host, "confirmed", alone=True)
    if material.outcome == "http-error" and material.status in (404, 410):
        return Judged(heard.host, "missing")  # taken back
    if (material.failures or 0) < PATIENCE_FAILURES:
        return Judged(heard.host, "confirmed", alone=True)
    return Judged(heard.host, "unreachable")


def _by_file(heard: Heard) -> DomainState:
    if heard.attempts == 0:
        return "pending"
    if heard.outcome in ("ok", "not-modified"):
        if heard.final_url and _https_host(heard.final_url.encode()) != heard.host:
            return "missing"  # a redirect to another host is that host's word
        if heard.names_agent is None:
            return "missing"
        return "confirmed" if heard.names_agent else "contradicted"
    if heard.outcome in ("http-error", "too-large") and (heard.status or 0) < 500:
        return "missing"
    return "unreachable"


_DOMAIN_CODES: dict[DomainState, str] = {
    "confirmed": "domain-confirmed",
    "contradicted": "domain-contradicted",
    "missing": "domain-missing",
    "unreachable": "domain-unreachable",
}
_WALLET_CODES = {
    "default": "wallet-unproven",
    "cleared": "wallet-cleared",
    "unset": "wallet-unset",
    "malformed": "wallet-malformed",
}


def identity_findings(
    material: Material,
    registration: Registration | None,
    domains: Iterable[Judged],
) -> list[Finding]:
    """Findings about who the agent is, but for those that compare it with others."""
    found = [
        Finding(_DOMAIN_CODES[one.state], detail=one.host)
        for one in domains
        if one.state in _DOMAIN_CODES
    ]
    if code := _WALLET_CODES.get(material.wallet_state):
        found.append(Finding(code))
    if registration is None:
        return found
    if not names_agent(registration, material):
        elsewhere = any(claim.agent_id is not None for claim in registration.claims)
        found.append(Finding("registration-elsewhere" if elsewhere else "registration-missing"))
    found += _claimed_wallets(material, registration)
    if (since := material.owner_since) is not None:
        times = [time for time in (material.uri_since, material.file_since) if time is not None]
        if times and max(times) < since:
            found.append(Finding("owner-changed", detail=f"{since:%Y-%m-%d}"))
    return found


def copied(material: Material, older: Neighbour | None) -> list[Finding]:
    """Whether an older agent of another owner has the very same file."""
    if older is None or older.owner == material.owner or not _is_older(older, material):
        return []
    return [Finding("document-copied", detail=_key(older))]


def template_copy(material: Material, older: Neighbour | None) -> list[Finding]:
    """Whether an older agent has a file of the same template."""
    if older is None or not _is_older(older, material):
        return []
    return [Finding("template-copy")]


def alike(
    material: Material, name_key: str | None, prominent: bool, other: Neighbour | None
) -> list[Finding]:
    """Whether the name is, or looks like, that of an established agent of another owner.

    Of two established ones the older keeps the name.
    """
    if other is None or other.owner == material.owner:
        return []
    if prominent and not _is_older(other, material):
        return []
    code = "name-taken" if other.name_key == name_key else "name-confusable"
    return [Finding(code, path="/name", detail=_key(other))]


def _claimed_wallets(material: Material, registration: Registration) -> list[Finding]:
    here = f"eip155:{material.chain_id}:"
    for service in registration.services:
        if service.kind != "wallet" or not service.endpoint:
            continue
        account = service.endpoint.strip().lower()
        if not account.startswith(here):
            continue  # a wallet elsewhere is a claim about elsewhere
        held = "0x" + material.wallet.hex() if material.wallet else None
        if account.removeprefix(here) != held:
            return [Finding("wallet-differs", path=f"/services/{service.position}/endpoint")]
    return []


def _uri_host(material: Material) -> str | None:
    return _https_host(material.uri) if material.uri else None


def _https_host(url: bytes) -> str | None:
    """The host that a fetch of `url` asks, as that fetch has it; None for an address, a port of its
    own, or anything but https. Read by the fetcher's parser: two that differ could be told apart
    by whoever writes the URL."""
    uri = parse_uri(url)
    if uri.kind != "https" or not uri.text.startswith(f"https://{uri.host}/"):
        return None
    if uri.host.startswith("[") or uri.host.rpartition(".")[2].isdigit():
        return None
    return uri.host


def _is_older(other: Neighbour, than: Material) -> bool:
    mine = (than.created_at, than.chain_id, than.agent_id)
    return (other.created_at, other.chain_id, other.agent_id) < mine


def _key(neighbour: Neighbour) -> str:
    return f"{neighbour.chain_id}:{neighbour.agent_id}"
