"""What stands on the hosts of the devnet: the files that its URIs name, and who lives where.

No I/O. Planning a world fills it; `origin` serves it. Gateways are hosts like any other: what is
pinned or uploaded becomes pages of `ipfs.example` and `ar.example`.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping

import msgspec

from renown.chain.devnet.ipfs import Block, file_block, folder_block, raw_block
from renown.chain.devnet.personas import Persona
from renown.chain.devnet.registrations import claim, registration_file, to_bytes

IPFS_HOST, AR_HOST = "ipfs.example", "ar.example"
IPFS_GATEWAY, AR_GATEWAY = f"http://{IPFS_HOST}", f"http://{AR_HOST}"
"""What a crawler of the devnet has to use as gateways."""

WELL_KNOWN = "/.well-known/agent-registration.json"
"""Where a host says which agents are its own (ERC-8004, "Endpoint Domain Verification")."""

JSON, HTML = "application/json", "text/html; charset=utf-8"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to GET.

    Attributes:
        etag: with its quotes; None where it has none.
        modified_at_seconds: Unix seconds; None: since the origin started.
        dated: whether `Last-Modified` is sent.
    """

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: dict[str, str] = {}
    etag: str | None = None
    modified_at_seconds: float | None = None
    dated: bool = True


class Home(msgspec.Struct, frozen=True):
    """Where an agent keeps a file that it can change without a transaction."""

    host: str
    path: str


def helper_host(agent: Persona) -> str:
    """A host beside the agent's own, whose word for the agent counts for nothing."""
    return f"helper-{agent.agent_id}.example"


class Files:
    """Pages by host and path, residents by host.

    Attributes:
        pages: by (host, path with its query).
        agents: those that were settled, by agent id.
        residents: whose servers answer at a host, where there is no page.
        homes: by agent id, as long as its URI points there.
        editions: newest of each agent's file, by agent id.
    """

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], Page] = {}
        self.agents: dict[int, Persona] = {}
        self.residents: dict[str, Persona] = {}
        self.homes: dict[int, Home] = {}
        self.editions: Counter[int] = Counter()

    def put(
        self,
        host: str,
        path: str,
        body: bytes,
        *,
        content_type: str = JSON,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        dated: bool = True,
        modified_at_seconds: float | None = None,
    ) -> None:
        """Serve `body` at `http(s)://host/path` from now on, whatever was there.

        Args:
            etag: without its quotes; None makes one of the body, "" sends none.
        """
        tag = hashlib.sha256(body).hexdigest()[:32] if etag is None else etag
        self.pages[host.lower(), path] = Page(
            body=body,
            content_type=content_type,
            status=status,
            headers=dict(headers or {}),
            etag=f'"{tag}"' if tag else None,
            modified_at_seconds=modified_at_seconds,
            dated=dated,
        )

    def settle(self, agent: Persona) -> None:
        """The agent's servers answer at its host."""
        self.agents[agent.agent_id] = agent
        self.residents[agent.host] = agent
        if agent.domain_proof == "redirects":
            proof = to_bytes({"registrations": [claim(agent.agent_id)]})
            self.put(helper_host(agent), WELL_KNOWN, proof)

    def move_in(self, agent: Persona, home: Home, file: bytes) -> bytes:
        """Keep the agent's file at `home`, for it to change; its https URI."""
        self.homes[agent.agent_id] = home
        self._put_at_home(agent, home, file, None)
        return f"https://{home.host}{home.path}".encode()

    def edit(self, agent_id: int, now_seconds: float) -> Home:
        """Put the next edition of an agent's file where its URI points: one of `homes`."""
        agent, home = self.agents[agent_id], self.homes[agent_id]
        self.editions[agent_id] += 1
        file = registration_file(agent, self.editions[agent_id])
        self._put_at_home(agent, home, file, now_seconds)
        return home

    def pin(self, content: bytes) -> str:
        """On IPFS, as a raw block; its CID."""
        return self._pin(raw_block(content), content)

    def pin_file(self, content: bytes) -> str:
        """On IPFS, as `ipfs add` does; its CID."""
        return self._pin(file_block(content), content)

    def pin_folder(self, files: Mapping[str, bytes]) -> str:
        """On IPFS, as a folder; its CID."""
        folder = folder_block(files)
        for name, content in files.items():
            self.pin(content)
            self._put_block(f"{folder.cid}/{name}", raw_block(content))
            self._put_pinned(f"{folder.cid}/{name}", content)
        self._put_block(folder.cid, folder)
        return folder.cid

    def pin_other(self, content: bytes, served: bytes) -> str:
        """The CID of `content`, under which the gateway serves something else."""
        return self._pin(Block(raw_block(content).cid, served), served)

    def upload(self, content: bytes) -> str:
        """On Arweave; its transaction id, which here is the content's hash."""
        digest = hashlib.sha256(content).digest()
        transaction = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        self.put(AR_HOST, f"/{transaction}", content, etag=transaction, dated=False)
        return transaction

    def _pin(self, block: Block, content: bytes) -> str:
        self._put_block(block.cid, block)
        self._put_pinned(block.cid, content)
        return block.cid

    def _put_block(self, path: str, block: Block) -> None:
        """As gateways give it to those who want to check it: without taking it apart."""
        self.put(
            IPFS_HOST,
            f"/ipfs/{path}?format=raw",
            block.data,
            content_type="application/vnd.ipld.raw",
            etag=f"{block.cid}.raw",
            dated=False,
        )

    def _put_pinned(self, path: str, content: bytes) -> None:
        self.put(IPFS_HOST, f"/ipfs/{path}", content, etag=path, dated=False)

    def _put_at_home(
        self, agent: Persona, home: Home, file: bytes, now_seconds: float | None
    ) -> None:
        """Validators vary from host to host, as they do elsewhere: both, one of them, none."""
        etag, dated = (
            ((None, True), (None, False), ("", True), ("", False))[agent.agent_id % 4]
            if home.host == agent.shared_host
            else (None, True)
        )
        self.put(
            home.host, home.path, file, etag=etag, dated=dated, modified_at_seconds=now_seconds
        )
