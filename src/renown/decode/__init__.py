"""Bytes to events: hand-specialised readers for the registries' logs, checked against eth-abi."""

from renown.decode.decoder import Decoder
from renown.decode.legacy import describe

__all__ = ["Decoder", "describe"]
