"""How much the server's signer does for an account. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

ETHER = 10**18


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator lets the signer do for any account.

    Attributes:
        most_gas: of one transaction.
        daily_wei: most that one account may spend on one chain within 24 hours, at worst.
    """

    most_gas: int = 3_000_000
    daily_wei: int = ETHER


def excess(
    allowance: Allowance, spent_wei: int | None, wanted: Sequence[tuple[int, int]]
) -> str | None:
    """Why the signer does not sign these transactions, in words; None: it may.

    What one costs counts at its worst: its gas times the most it offers per unit.

    Args:
        spent_wei: what was signed for the account on this chain in the last 24 hours may cost; None
            where that is not bounded.
        wanted: gas, and most wei per unit of gas, of each.
    """
    for gas, _ in wanted:
        if gas > allowance.most_gas:
            return (
                f"it takes {gas} gas, and the server's signer signs for {allowance.most_gas} at"
                " most"
            )
    total = sum(gas * fee_wei for gas, fee_wei in wanted)
    if spent_wei is not None and spent_wei + total > allowance.daily_wei:
        return (
            f"it may cost {_ether(total)}, what was signed for this account in the last 24 hours"
            f" {_ether(spent_wei)}, and the server's signer spends {_ether(allowance.daily_wei)} at"
            " most"
        )
    return None


def _ether(wei: int) -> str:
    return f"{wei / ETHER:.6f} ether"
