"""How often a test repeats itself: few times in every run, many in `make test-long`.

    RENOWN_SIMULATION_SEEDS  seeds of the simulation                   20, long 200
    RENOWN_KILLS         kills of the indexer in one backfill          3, long 30
    RENOWN_KILL_EVENTS   events of that backfill                       15000, long 100000
    RENOWN_PAST_BLOCKS   blocks of the devnet whose past is compared   12, long 50
    RENOWN_PAST_AGENTS   agents asked about at each of them            8, long 0: all
    RENOWN_CRAWL_DEATHS  deaths of the crawler around each statement   1, long 2
    RENOWN_OPERATION_KILLS  deaths of API and watcher in 200 writes    3, long 30
    RENOWN_NIGHT_KILLS   deaths of API and notary over 40 writes each  3, long 30
    RENOWN_FAILOVERS     kills of the primary under writes             1, long 5
    RENOWN_CHECKED_READS answers recomputed while the chain forks      3000, long 100000

The variables are taken out of the environment, so that no process under test finds them: to it
they are misspelt settings.
"""

from __future__ import annotations

import os


def repeats(name: str, usual: int) -> int:
    """The number in the environment variable `name`, or `usual`."""
    return int(os.environ.pop(name, usual))


SIMULATION_SEEDS = repeats("RENOWN_SIMULATION_SEEDS", 20)
KILLS = repeats("RENOWN_KILLS", 3)
KILL_EVENTS = repeats("RENOWN_KILL_EVENTS", 15_000)
PAST_BLOCKS = repeats("RENOWN_PAST_BLOCKS", 12)
PAST_AGENTS = repeats("RENOWN_PAST_AGENTS", 8)
CRAWL_DEATHS = repeats("RENOWN_CRAWL_DEATHS", 1)
OPERATION_KILLS = repeats("RENOWN_OPERATION_KILLS", 3)
NIGHT_KILLS = repeats("RENOWN_NIGHT_KILLS", 3)
FAILOVERS = repeats("RENOWN_FAILOVERS", 1)
CHECKED_READS = repeats("RENOWN_CHECKED_READS", 3_000)
