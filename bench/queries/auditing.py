"""The audit log: writing, sequencing, reading, proving and removing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from bench.queries.model import Query
from bench.queries.sample import Sample
from renown.store import audit_reading
from renown.store.audit_reading import Wanted
from renown.store.pool import Conn


def _page(**wanted: Any) -> Callable[[Conn, Sample], Awaitable[Any]]:
    async def build(conn: Conn, _: Sample) -> None:
        await audit_reading.page(conn, Wanted(**wanted), after=None, limit=51)

    return build


VERIFY = "a verification reads everything once"
QUERIES = (
    Query("audit_address.made", "api", "Makes the key of pseudonyms of a day.", "one row"),
    Query("audit_address.held", "api", "The key of pseudonyms of a day.", "one row"),
    Query(
        "audit_alarms.standing",
        "notary",
        "What was found that nobody has acknowledged.",
        "the alarms",
    ),
    Query("audit_alarms.raise", "notary", "Keeps what was found.", "the alarms"),
    Query(
        "audit_alarms.acknowledge", "notary", "Notes that a person looked into it.", "the alarms"
    ),
    Query(
        "audit_commits.cut",
        "indexer",
        "The last commit that a retraction cuts.",
        "the entries of a chain since then",
        indexes=("audit_log_of_chains",),
    ),
    Query(
        "audit_commits.last_told",
        "indexer",
        "Up to which block the log tells of a chain.",
        "one entry",
    ),
    Query("audit_entries.append", "api", "Adds entries.", "one row each"),
    Query("audit_entries.unattended", "api", "Tells the triggers that a worker acts.", "no table"),
    Query("audit_entries.acting", "api", "Tells the triggers who acts.", "no table"),
    Query(
        "audit_leaves.head",
        "notary",
        "Where the sequence ends.",
        "one leaf",
        indexes=("audit_leaf_pkey",),
    ),
    Query(
        "audit_leaves.waiting",
        "notary",
        "The first entries that wait to be sequenced.",
        "so many entries",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_by_time",
        ),
    ),
    Query(
        "audit_leaves.latest",
        "notary",
        "The last entries of the sequence, for the rules.",
        "so many entries",
        indexes=(
            "audit_leaf_pkey",
            "audit_log_by_time",
        ),
    ),
    Query(
        "audit_leaves.with_rules",
        "notary",
        "What is hashed of entries with their rules.",
        "so many entries",
        indexes=("audit_log_by_time",),
    ),
    Query("audit_leaves.taken", "notary", "Entries that wait no more.", "one row each"),
    Query(
        "audit_leaves.taken_before",
        "notary",
        "Entries that were sequenced and wait all the same.",
        "the entries that wait",
        indexes=("audit_leaf_entry_id_key",),
    ),
    Query(
        "audit_leaves.backlog",
        "notary",
        "How many entries wait, and for how long.",
        "so many entries",
        indexes=("audit_log_by_time",),
    ),
    Query(
        "audit_leaves.to_review", "notary", "Entries that a person has to look at.", "one row each"
    ),
    Query(
        "audit_leaves.partitions",
        "notary",
        "Makes the partitions of the coming months.",
        "the catalogue",
    ),
    Query(
        "audit_proofs.entry",
        "api",
        "The leaf of an entry.",
        "2 rows",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_pkey",
        ),
    ),
    Query(
        "audit_proofs.nodes",
        "api",
        "The nodes of a proof.",
        "one node for each level",
        indexes=(
            "audit_leaf_pkey",
            "audit_node_pkey",
        ),
    ),
    Query(
        "audit_proofs.link", "api", "The link of a leaf.", "one leaf", indexes=("audit_leaf_pkey",)
    ),
    Query(
        "audit_proofs.latest",
        "api",
        "The newest checkpoint.",
        "one checkpoint",
        indexes=("audit_checkpoint_pkey",),
    ),
    Query(
        "audit_proofs.at_least",
        "api",
        "The first checkpoint with an entry.",
        "one checkpoint",
        indexes=("audit_checkpoint_pkey",),
    ),
    Query(
        "audit_proofs.next",
        "api",
        "A page of checkpoints.",
        "page + 1 checkpoints",
        indexes=("audit_checkpoint_pkey",),
    ),
    Query(
        "audit_proofs.keep",
        "api",
        "Keeps a checkpoint.",
        "one checkpoint",
        indexes=("audit_checkpoint_pkey",),
    ),
    Query(
        "audit_reading.one",
        "api",
        "One entry, whole.",
        "4 rows",
        indexes=(
            "account_pkey",
            "audit_leaf_entry_id_key",
            "audit_log_by_time",
            "audit_log_pkey",
        ),
    ),
    Query(
        "audit_reading.owner",
        "api",
        "Who acted in an entry.",
        "one entry",
        indexes=("audit_log_pkey",),
    ),
    Query(
        "audit_reading.summary",
        "api",
        "An account's last day, by hour.",
        "the entries of an account in a day",
        indexes=("audit_log_by_account",),
    ),
    Query(
        "audit_reading.summary_of_all",
        "api",
        "Everybody's last day, by hour.",
        "the entries of a day",
        indexes=("audit_log_by_time",),
    ),
    Query("audit_retention.partitions", "operator", "The partitions of the log.", "the catalogue"),
    Query(
        "audit_retention.plan",
        "operator",
        "What would go of entries older than a time.",
        "all entries older than a time: when an operator asks",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_by_time",
        ),
    ),
    Query("audit_retention.lock", "operator", "Lets one removal go on at a time.", "no table"),
    Query(
        "audit_retention.say_so",
        "operator",
        "Tells the triggers that retention removes.",
        "no table",
    ),
    Query(
        "audit_retention.changed",
        "operator",
        "Whether an entry of a month is not what was hashed.",
        "the entries of a month",
        indexes=(
            "audit_leaf_pkey",
            "audit_log_pkey",
        ),
    ),
    Query(
        "audit_retention.delete",
        "operator",
        "Removes what may go of a month.",
        "the entries of a month",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_by_time",
        ),
    ),
    Query(
        "audit_retention.destroy",
        "operator",
        "Destroys the keys of pseudonyms of days.",
        "one row a day",
    ),
    Query(
        "audit_retention.count_keys", "operator", "How many days' keys would go.", "one row a day"
    ),
    Query(
        "audit_review.is_there",
        "operator",
        "Whether an entry is there that was looked at.",
        "one entry",
        indexes=("audit_log_pkey",),
    ),
    Query(
        "audit_review.add",
        "operator",
        "Notes that a person looked at an entry.",
        "one row",
        indexes=("account_pkey",),
    ),
    Query(
        "audit_review.of_entry",
        "operator",
        "Who looked at an entry.",
        "page + 1 reviews",
        indexes=("account_pkey",),
    ),
    Query(
        "audit_stream.leaves",
        "operator",
        "A stretch of the log with its leaves, to be hashed again.",
        "so many entries",
        indexes=(
            "audit_leaf_pkey",
            "audit_log_by_time",
        ),
    ),
    Query(
        "audit_stream.nodes",
        "operator",
        "A stretch of nodes, to be compared.",
        "so many nodes",
        indexes=("audit_node_pkey",),
    ),
    Query(
        "audit_stream.rows_of_nodes",
        "operator",
        "Hashes of nodes one behind the other, to be compared.",
        "so many nodes",
        indexes=("audit_node_pkey",),
    ),
    Query(
        "audit_stream.counts",
        "operator",
        "How much there is to verify.",
        "all of the log: verify",
        scans={"audit_log": VERIFY, "audit_leaf": VERIFY, "audit_node": VERIFY},
    ),
    Query(
        "audit_stream.strays",
        "operator",
        "Entries that nobody sequenced.",
        "all of the log: verify",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_pkey",
        ),
    ),
    Query(
        "audit_stream.explained",
        "operator",
        "Empty places that retention explains.",
        "the leaves of these places",
        indexes=("audit_leaf_pkey",),
    ),
    Query(
        "audit_stream.snapshot",
        "operator",
        "Lets another connection see what a verification sees.",
        "no table",
    ),
    Query(
        "audit_stream.size",
        "operator",
        "How many leaves there are.",
        "one leaf",
        indexes=("audit_leaf_pkey",),
    ),
    Query(
        "audit_stream.newest",
        "operator",
        "The highest entry that was sequenced.",
        "one leaf",
        indexes=("audit_leaf_entry_id_key",),
    ),
    Query(
        "audit_stream.strays_behind",
        "operator",
        "Whether entries behind another were sequenced.",
        "so many entries",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_pkey",
        ),
    ),
    Query(
        "audit_stream.retentions",
        "operator",
        "What entries of retention explain.",
        "the entries of retention",
        indexes=(
            "audit_leaf_entry_id_key",
            "audit_log_by_action",
        ),
    ),
    Query(
        "audit_stream.pending_retention",
        "operator",
        "Entries of retention that wait.",
        "the entries of retention",
        indexes=("audit_log_by_action",),
    ),
    Query(
        "audit_stream.reviews",
        "operator",
        "Reviews that are not what their entries say.",
        "the entries of reviews",
        indexes=("audit_log_by_action",),
    ),
    Query(
        "audit_stream.lost",
        "operator",
        "Entries that waited and are gone.",
        "the entries that wait",
        indexes=("audit_log_pkey",),
    ),
    Query(
        "audit_stream.time_of",
        "operator",
        "The time of an entry.",
        "one entry",
        indexes=("audit_log_pkey",),
    ),
    Query(
        "audit_stream.extra_node",
        "operator",
        "A node that no tree of this size has.",
        "one node of each level",
        scans={"audit_node": VERIFY},
    ),
    Query("audit_triggers.newest", "operator", "The newest migration.", "one row"),
    Query(
        "audit_triggers.triggers", "operator", "The triggers that tell the log.", "the catalogue"
    ),
    Query(
        "audit_triggers.functions", "operator", "The functions that tell the log.", "the catalogue"
    ),
    Query(
        "audit_triggers.replica",
        "operator",
        "Whether triggers are off for somebody.",
        "the catalogue",
    ),
    Query(
        "audit_reading.page, all",
        "api",
        "A page of the log, the newest first: all.",
        "page + 1 entries",
        indexes=("audit_log_by_time",),
        build=_page(),
    ),
    Query(
        "audit_reading.page, of an account",
        "api",
        "A page of the log, the newest first: of an account.",
        "page + 1 entries",
        indexes=("audit_log_by_account",),
        build=_page(account_id=7),
    ),
    Query(
        "audit_reading.page, by a key",
        "api",
        "A page of the log, the newest first: by a key.",
        "page + 1 entries",
        indexes=("audit_log_by_key",),
        build=_page(key_id="00000007"),
    ),
    Query(
        "audit_reading.page, of a table or a route",
        "api",
        "A page of the log, the newest first: of a table or a route.",
        "page + 1 entries",
        indexes=("audit_log_by_subject",),
        build=_page(subject="account"),
    ),
    Query(
        "audit_reading.page, of a row",
        "api",
        "A page of the log, the newest first: of a row.",
        "page + 1 entries",
        indexes=("audit_log_by_subject_key",),
        build=_page(subject="account", subject_key="101"),
    ),
    Query(
        "audit_reading.page, of an action",
        "api",
        "A page of the log, the newest first: of an action.",
        "page + 1 entries",
        indexes=("audit_log_by_action",),
        build=_page(action="commit"),
    ),
    Query(
        "audit_reading.page, failures",
        "api",
        "A page of the log, the newest first: failures.",
        "page + 1 entries",
        indexes=("audit_log_by_failure",),
        build=_page(status_least=400),
    ),
    Query(
        "audit_reading.page, of a request",
        "api",
        "A page of the log, the newest first: of a request.",
        "page + 1 entries",
        indexes=("audit_log_by_request",),
        build=_page(request_id=UUID(int=7)),
    ),
    Query(
        "audit_reading.page, to be reviewed",
        "api",
        "A page of the log, the newest first: to be reviewed.",
        "page + 1 entries",
        indexes=("audit_leaf_to_review",),
        build=_page(review="open"),
    ),
)
