"""The protocols agents are called by: which endpoints they declare, and what is said and answered.

Pure: messages are made and answers read here, nothing is sent. Only questions exist here
(`initialize`, `tools/list`, GET): nothing that makes an agent act.
"""

from renown.spec.protocols.declared import MOST_ENDPOINTS, Declared, Protocol, declared
from renown.spec.protocols.offers import Checked, Offers, Verdict, offers

__all__ = [
    "MOST_ENDPOINTS",
    "Checked",
    "Declared",
    "Offers",
    "Protocol",
    "Verdict",
    "declared",
    "offers",
]
