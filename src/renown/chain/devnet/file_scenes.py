"""What must be found behind URIs in every world, whatever its seed: one scene each. Pure.

As with the scenes on chain, nothing else happens to these agents.
"""

from __future__ import annotations

from collections.abc import Callable

from renown.chain.devnet import oddities
from renown.chain.devnet.acts import Acts
from renown.chain.devnet.files import HTML
from renown.chain.devnet.personas import persona
from renown.chain.devnet.registrations import careful_file, to_bytes
from renown.chain.devnet.residents import agent_card
from renown.chain.devnet.uri_forms import data_uri

MINTED = 5


def clone(acts: Acts) -> None:
    """An agent named like the first one, which has many clients, but in other letters."""
    agent_id, host = acts.ledger.next_agent_id, "genuine.example"
    file = oddities.clone(acts.agent(acts.first_agent()), agent_id, host)
    acts.ledger.register(acts.cast.account("impostor"), _published(acts, host, "/agent.json", file))


def copy(acts: Acts) -> None:
    """The first agent's file, byte for byte, under another owner."""
    file = careful_file(acts.agent(acts.first_agent()))
    acts.ledger.register(acts.cast.account("copyist"), data_uri(file))


def series(acts: Acts) -> None:
    """Minted from one template, two of them sold on."""
    minter = acts.cast.account("minter")
    for number in range(1, MINTED + 1):
        agent_id = acts.ledger.next_agent_id
        uri = _published(
            acts, "mint.example", f"/foxes/{number}", oddities.minted(number, agent_id)
        )
        acts.ledger.register(minter, uri)
        if number % 2 == 0:
            acts.ledger.transfer(agent_id, acts.cast.account("collector", number))


def leftovers(acts: Acts) -> None:
    """A template nobody filled in, and an empty object."""
    owner = acts.cast.account("newcomer")
    acts.ledger.register(owner, data_uri(oddities.placeholder()))
    acts.ledger.register(owner, data_uri(b"{}"))


def foreign_files(acts: Acts) -> None:
    """What is no registration: a card, a portrait, a web page, far too much, other bytes."""
    ledger, owner = acts.ledger, acts.cast.account("absent-minded")
    somebody = persona(acts.cast.seed, ledger.next_agent_id, host="cards.example")
    card = to_bytes(agent_card(somebody, 0))
    ledger.register(owner, _published(acts, "cards.example", "/.well-known/agent.json", card))
    portrait = acts.files.pin_file(oddities.nft_metadata())
    ledger.register(owner, b"ipfs://" + portrait.encode())
    acts.files.put("login.example", "/agent.json", oddities.HTML_PAGE, content_type=HTML)
    ledger.register(owner, b"https://login.example/agent.json")
    ledger.register(owner, _published(acts, "heavy.example", "/all.json", oddities.oversized()))
    rude = oddities.rude(ledger.next_agent_id)
    ledger.register(owner, data_uri(rude))
    true = careful_file(persona(acts.cast.seed, ledger.next_agent_id, host="pinned.example"))
    swapped = acts.files.pin_other(true, true.replace(b"agent", b"aged ", 1))
    ledger.register(owner, b"ipfs://" + swapped.encode())


def forwarded(acts: Acts) -> None:
    """A file that moved to another host, and an address that says so."""
    uri = acts.hosted("new-home.example")
    there = {"location": uri.decode()}
    acts.files.put("old-home.example", "/agent.json", b"", status=301, headers=there)
    acts.ledger.register(acts.cast.account("mover"), b"https://old-home.example/agent.json")


def _published(acts: Acts, host: str, path: str, file: bytes) -> bytes:
    acts.files.put(host, path, file)
    return f"https://{host}{path}".encode()


SCENES: tuple[Callable[[Acts], None], ...] = (
    clone,
    copy,
    series,
    leftovers,
    foreign_files,
    forwarded,
)
