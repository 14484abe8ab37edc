"""`eth_account.Account`, imported without what its import does to the process.

py_ecc, which it brings along, raises the interpreter's recursion limit to 100,000. That limit is
what stops decoders written in C when JSON is nested deeply; without it a few bytes of `[` from any
stranger overflow the C stack and end the process. The devnet runs in one process with the crawler.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402 - between the two lines that this module is for

sys.setrecursionlimit(_limit)

__all__ = ["Account"]
