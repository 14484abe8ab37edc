"""How much of a chain stands above a block: what a rewind would drop."""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.errors import ChainNotFound
from renown.store.pool import Conn


class Extent(msgspec.Struct, frozen=True):
    """Where a chain stands, and the facts and quarantined logs above the block asked for."""

    block_number: int
    final_block: int
    start_block: int
    facts: int


ABOVE: LiteralString = """
SELECT k.block_number, k.final_block, c.start_block,
       (SELECT coalesce(sum(fact_count), 0)::bigint FROM block b
         WHERE b.chain_id = $1 AND b.number > $2)
  FROM chain c JOIN checkpoint k USING (chain_id)
 WHERE c.chain_id = $1
"""


async def above(conn: Conn, chain_id: int, number: int) -> Extent:
    """What stands above block `number`.

    Raises:
        ChainNotFound: this index has no such chain.
    """
    row = await conn.fetchrow(ABOVE, chain_id, number)
    if row is None:
        raise ChainNotFound(f"this index has no chain {chain_id}", chain_id=chain_id)
    return Extent(*row)
