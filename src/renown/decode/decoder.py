"""From a node's log to a fact, or to quarantine. Pure; never raises, whatever a node sends."""

from __future__ import annotations

from binascii import a2b_hex
from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from renown.decode import identity, legacy, proxy, reputation, validation
from renown.decode.words import LOG_INDEXES, Topics, hex_bytes, quantity, word_bytes
from renown.errors import UndecodableLog
from renown.spec import abi
from renown.spec.events import Event, Quarantined
from renown.spec.logs import RawLog

MAX_PAYLOAD_BYTES = 8 * 2**20
"""Data beyond this is quarantined, whole: no block's gas pays for it on a chain we follow."""

_MAX_TEXT = 2 + 2 * MAX_PAYLOAD_BYTES

Reader = Callable[[Topics, bytes, int, int, bytes, bytes], Event]

_READERS: dict[abi.EventAbi, Reader] = {
    abi.REGISTERED: identity.registered,
    abi.URI_UPDATED: identity.uri_updated,
    abi.METADATA_SET: identity.metadata_set,
    abi.TRANSFER: identity.transfer,
    abi.APPROVAL: identity.approval,
    abi.APPROVAL_FOR_ALL: identity.approval_for_all,
    abi.METADATA_UPDATE: identity.metadata_update,
    abi.BATCH_METADATA_UPDATE: identity.batch_metadata_update,
    abi.EIP712_DOMAIN_CHANGED: proxy.domain_changed,
    abi.NEW_FEEDBACK: reputation.new_feedback,
    abi.FEEDBACK_REVOKED: reputation.feedback_revoked,
    abi.RESPONSE_APPENDED: reputation.response_appended,
    abi.VALIDATION_REQUEST: validation.validation_request,
    abi.VALIDATION_RESPONSE: validation.validation_response,
    abi.UPGRADED: proxy.upgraded,
    abi.INITIALIZED: proxy.initialized,
    abi.OWNERSHIP_TRANSFERRED: proxy.ownership_transferred,
    **{event: legacy.reader(event) for event in abi.LEGACY},
}

_NAMES = {"0x" + event.topic0.hex(): event.name for event in abi.EVENTS}

_Routes = dict[str, tuple[Reader, int]]  # by topic0 as nodes spell it: reader, number of topics


class Decoder:
    """Decodes the logs of one chain's registries.

    Args:
        identity, reputation: 20 bytes each.
        validation: the validation contracts followed, 20 bytes each; may be empty.

    A contract named in two roles may emit the events of both.
    """

    def __init__(self, identity: bytes, reputation: bytes, validation: Collection[bytes]) -> None:
        self._contracts: dict[str, tuple[bytes, _Routes]] = {}
        self._follow(identity, "identity")
        self._follow(reputation, "reputation")
        for contract in validation:
            self._follow(contract, "validation")

    def decode(self, log: RawLog) -> Event | Quarantined:
        """The fact in `log`, or the log itself with the reason why it is none. Never raises.

        The reasons are listed at `Quarantined`. Data that goes on behind its last field is no
        reason, nor is any layout that eth-abi 6 reads by default.
        """
        return self.decode_many((log,))[0]

    def decode_many(self, logs: Iterable[RawLog]) -> list[Event | Quarantined]:
        """One result for each log, as from `decode`, in order. Never raises."""
        results: list[Event | Quarantined] = []
        contracts = self._contracts
        # logs of one transaction and of one block come in a row
        block_text: str | None = None
        tx_text: str | None = None
        block, tx = 0, b""
        for log in logs:
            topics = log.topics
            try:
                contract, routes = contracts[log.address]
                read, topic_count = routes[topics[0]]
            except (KeyError, IndexError):
                results.append(self._decode_unusual(log))
                continue
            try:
                text = log.transaction_hash
                if text != tx_text:
                    if len(text) != 66 or not "0x" <= text < "0y":  # begins with 0x
                        raise UndecodableLog("bad-place")
                    tx, tx_text = a2b_hex(text[2:]), text
                text = log.block_number
                if text != block_text:
                    block, block_text = quantity(text), text
                log_index = LOG_INDEXES[log.log_index]
                text = log.data
                if text == "0x":
                    data = b""
                elif len(text) <= _MAX_TEXT and "0x" <= text < "0y":
                    data = a2b_hex(text[2:])
                else:
                    raise UndecodableLog("oversized" if text[:2] == "0x" else "bad-hex")
                if len(topics) != topic_count:
                    raise UndecodableLog("topic-count")
                results.append(read(topics, data, block, log_index, tx, contract))
            except UndecodableLog as problem:
                results.append(self._quarantined(log, problem.detail))
            except ValueError:  # of a2b_hex; nothing else here raises it
                results.append(self._quarantined(log, "bad-hex"))
        return results

    def _follow(self, contract: bytes, role: abi.Role) -> None:
        _, routes = self._contracts.setdefault("0x" + contract.hex(), (contract, {}))
        for event, read in _READERS.items():
            if role in event.roles:
                routes["0x" + event.topic0.hex()] = (read, event.topic_count)

    def _decode_unusual(self, log: RawLog) -> Event | Quarantined:
        """A log that no route fits as it is spelt: spelt in capitals, or foreign."""
        address = log.address.lower()
        topic0 = log.topics[0].lower() if log.topics else None
        _, routes = self._contracts.get(address, (b"", {}))
        if topic0 in routes:
            spelt = replace(log, address=address, topics=(topic0, *log.topics[1:]))
            return self.decode(spelt)
        if address not in self._contracts or topic0 in _NAMES:
            return self._quarantined(log, "unexpected-contract")
        return self._quarantined(log, "unknown-topic")

    def _quarantined(self, log: RawLog, reason: str) -> Quarantined:
        try:
            block, log_index = quantity(log.block_number), LOG_INDEXES[log.log_index]
            tx = word_bytes(log.transaction_hash)
        except (UndecodableLog, ValueError):
            block, log_index, tx, reason = -1, -1, b"", "bad-place"
        return Quarantined(
            block,
            log_index,
            tx,
            _as_sent(log.address),
            reason,
            _NAMES.get(log.topics[0].lower()) if log.topics else None,
            tuple(_as_sent(topic) for topic in log.topics),
            _as_sent(log.data),
        )


def _as_sent(text: str) -> bytes:
    """The bytes that `text` spells; the text itself when it is not hex. Nothing is lost."""
    try:
        return hex_bytes(text)
    except (UndecodableLog, ValueError):
        return text.encode(errors="backslashreplace")
