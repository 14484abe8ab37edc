"""`eth_account`, imported without what its import does to the process.

py_ecc, which it brings along, raises the interpreter's recursion limit to 100,000. That limit is
what stops decoders written in C when JSON is nested deeply; without it a few bytes of `[` from any
stranger overflow the C stack and end the process. The same process serves and crawls strangers.

Nothing else imports it.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()

# ruff: noqa: E402 - between the two lines that this module is for
from eth_account import Account
from eth_account.messages import encode_typed_data

sys.setrecursionlimit(_limit)

__all__ = ["Account", "encode_typed_data"]
