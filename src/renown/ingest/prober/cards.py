"""Looking at an agent that declares an A2A endpoint: its card."""

from __future__ import annotations

import msgspec

from renown.ingest.prober.asking import Asker, Heard
from renown.ingest.prober.pages import WANTS_LOGIN, challenge_of, guarded, paywalled, same_page
from renown.ingest.prober.sighting import UNREACHED, Sighting, sighting, unanswered
from renown.spec.protocols.a2a import card_urls, read_card
from renown.spec.protocols.capabilities import Capabilities
from renown.spec.protocols.controls import nonsense_url, wrong_id_url

_ACCEPT = {"Accept": "application/json"}
_NO_ID = 987_654_321_987


async def look_at_card(asker: Asker, url: str, token: str) -> Sighting:
    """Find the card at `url` or at a well-known path.

    alive: a card, which neither a nonsense neighbour nor, where the URL has a number, a wrong one
    serves as well. paywalled, hollow: as for pages. dead: no card anywhere.
    """
    first: Heard | None = None
    for candidate in card_urls(url):
        heard = await asker.ask("GET", candidate, headers=_ACCEPT)
        card = read_card(heard.fetched.body) if heard.success else None
        if card is not None:
            return await _proved(asker, heard, candidate, url, card, token)
        first = first or heard
        if heard.fetched.outcome in UNREACHED or heard.fetched.status == 429:
            break
    assert first is not None
    return await _without_card(asker, first, url, token)


async def _proved(
    asker: Asker, heard: Heard, found_at: str, url: str, card: Capabilities, token: str
) -> Sighting:
    for control_url in (nonsense_url(found_at, token), wrong_id_url(found_at, _NO_ID)):
        if control_url is None:
            continue
        control = await asker.ask("GET", control_url, headers=_ACCEPT)
        other = read_card(control.fetched.body) if control.success else None
        if other is not None and (other.server, other.skills) == (card.server, card.skills):
            reason = "any-path" if token in control_url else "any-id"
            return sighting("hollow", heard.fetched, reason)
    if found_at != url:
        card = msgspec.structs.replace(card, url=found_at)
    return sighting("alive", heard.fetched, capabilities=card)


async def _without_card(asker: Asker, first: Heard, url: str, token: str) -> Sighting:
    early = unanswered(first.fetched)
    if early is not None:
        return early
    challenge = challenge_of(first)
    if challenge is not None:
        return await paywalled(asker, first, challenge, token)
    if first.success:
        control = await asker.ask("GET", nonsense_url(url, token), headers=_ACCEPT)
        if same_page(first, control, url, token):
            return sighting("hollow", first.fetched, "any-path")
    if first.fetched.status in WANTS_LOGIN:
        return await guarded(asker, first, nonsense_url(url, token), headers=_ACCEPT)
    return sighting("dead", first.fetched, "no-card")
