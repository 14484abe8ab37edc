"""Looking at an endpoint that is asked by GET alone: a page, an API, or one paid by x402."""

from __future__ import annotations

from collections.abc import Mapping

from renown.ingest.prober.asking import Asker, Heard
from renown.ingest.prober.sighting import Sighting, sighting, unanswered
from renown.spec.protocols.capabilities import Capabilities
from renown.spec.protocols.controls import alike, nonsense_url
from renown.spec.protocols.x402 import Challenge, read_challenge

WANTS_LOGIN = (401, 403)
WANTS_ANOTHER_QUESTION = (400, 405, 406, 411, 415, 422)
_NOTHING_THERE = (404, 410)


async def look_at_page(asker: Asker, url: str, token: str) -> Sighting:
    """Ask for `url`, and for a neighbour that cannot exist.

    alive: an answer with success, or one that wants a login or another kind of question where the
    neighbour is not found. paywalled: an x402 challenge. hollow: the neighbour answers the same.
    """
    heard = await asker.ask("GET", url)
    if (early := _early(heard)) is not None:
        return early
    challenge = challenge_of(heard)
    if challenge is not None:
        return await paywalled(asker, heard, challenge, token)
    status = heard.fetched.status or 0
    if heard.success:
        control = await asker.ask("GET", nonsense_url(url, token))
        if same_page(heard, control, url, token):
            return sighting("hollow", heard.fetched, "any-path")
        return sighting("alive", heard.fetched)
    if status in (*WANTS_LOGIN, *WANTS_ANOTHER_QUESTION):
        return await guarded(asker, heard, nonsense_url(url, token))
    return sighting("dead", heard.fetched, f"status-{status}")


async def paywalled(
    asker: Asker,
    heard: Heard,
    challenge: Challenge,
    token: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = {},
    body: bytes = b"",
    known: Capabilities | None = None,
) -> Sighting:
    """The sighting of a challenge: the nonsense neighbour must not cost the same."""
    url = nonsense_url(heard.url, token)
    control = await asker.ask(method, url, headers=headers, body=body)
    if challenge_of(control) == challenge:
        return sighting("hollow", heard.fetched, "any-path")
    priced = Capabilities(x402_version=challenge.version, prices=challenge.prices)
    if known is not None:
        priced = known.priced(challenge.version, challenge.prices)
    return sighting("paywalled", heard.fetched, capabilities=priced)


async def guarded(
    asker: Asker,
    heard: Heard,
    control_url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = {},
    body: bytes = b"",
) -> Sighting:
    """The sighting of an answer that lets nobody in: where the neighbour is missing, this is not.

    A host that turns everybody away everywhere shows nothing: `unknown`.
    """
    control = await asker.ask(method, control_url, headers=headers, body=body)
    status = heard.fetched.status
    if control.fetched.status not in _NOTHING_THERE:
        return sighting("unknown", heard.fetched, f"status-{status}")
    login = Capabilities(login=True) if status in WANTS_LOGIN else None
    return sighting("alive", heard.fetched, "wants-login" if login else None, capabilities=login)


def challenge_of(heard: Heard) -> Challenge | None:
    """The x402 challenge of an answer, if it is one."""
    fetched = heard.fetched
    return read_challenge(fetched.status, fetched.headers, fetched.body)


def same_page(heard: Heard, control: Heard, url: str, token: str) -> bool:
    """Whether the control got the page that `url` gave.

    A host that sends nonsense elsewhere than `url` tells them apart, whatever it shows there.
    """
    if not control.success:
        return False
    if token not in control.url:
        return heard.url == control.url and heard.url != url
    parts = (token, url, url.rpartition("/")[2])
    return alike(heard.fetched.body, control.fetched.body, *filter(None, parts))


def _early(heard: Heard) -> Sighting | None:
    # Of a page too large for us, the beginning has been seen: it is there.
    return None if heard.success else unanswered(heard.fetched)
