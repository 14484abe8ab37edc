"""What the routes that write take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

AddressText = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{40}$", description="0x and 40 hex digits, in any case.")
]
HexText = Annotated[str, Meta(pattern="^0x([0-9a-fA-F]{2})*$", description="Bytes in hexadecimal.")]
HashText = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{64}$", description="32 bytes in hexadecimal.")
]
Raw = Annotated[
    str,
    Meta(
        pattern="^0x([0-9a-fA-F]{2})+$",
        max_length=2 * 128 * 1024 + 2,
        description="A signed transaction as it goes to a node, in hexadecimal.",
    ),
]
How = Literal["prepare", "relay", "managed"]
MOST_TRANSACTIONS = 40


class Acting(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every write has."""

    sender: Annotated[
        AddressText | None,
        Meta(
            description="The wallet that sends the transactions, one of the account's. Of `relay`,"
            " whoever signed; of `managed`, by default the signer's first wallet."
        ),
    ] = field(default=None, name="from")
    mode: Annotated[
        How,
        Meta(
            description="`prepare`: we answer with unsigned transactions. `relay`: `transactions`"
            " are signed already, and say themselves what is to be done. `managed`: the server's"
            " signer signs."
        ),
    ] = "prepare"
    transactions: Annotated[
        Annotated[list[Raw], Meta(max_length=MOST_TRANSACTIONS)] | None,
        Meta(description="For `relay`: the signed transactions."),
    ] = None
    dry_run: Annotated[bool, Meta(description="Answer with the plan, and store nothing.")] = False


class WithFile(Acting, kw_only=True, forbid_unknown_fields=True):
    """A write that can come with a file: by its URI, or as JSON that we write."""

    uri: Annotated[str | None, Meta(description="Where the file is.")] = None
    content_hash: Annotated[
        HashText | None,
        Meta(description="keccak256 of the bytes behind `uri`. Of a `file` we know it."),
    ] = None
    file: Annotated[dict[str, Any] | None, Meta(description="The file's JSON; we write it.")] = None
    store: Annotated[
        Literal["inline", "hosted"],
        Meta(
            description="Where we write `file`: into a `data:` URI, which costs gas, or on this"
            " server, under its hash."
        ),
    ] = "inline"


class HexValue(Struct, forbid_unknown_fields=True):
    """Bytes that are no text."""

    hex: HexText


MetadataValues = Annotated[
    dict[str, str | HexValue | None],
    Meta(description="By key: a text, bytes as `hex`, or null to remove it."),
]


class RegisterBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Register an agent, owned by the sender."""

    chain: Annotated[int | str, Meta(description="The chain's id or short name.")]
    metadata: MetadataValues = field(default_factory=dict)
    names_itself: Annotated[
        bool,
        Meta(
            description="Have `file` point back to the agent in `registrations`. Its id is known"
            " only when the registration is in a block, so that takes a second transaction."
        ),
    ] = False


class UpdateBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Change an agent's URI and metadata; each change is a transaction of its own."""

    metadata: MetadataValues = field(default_factory=dict)
    names_itself: Annotated[
        bool, Meta(description="Have `file` point back to the agent in `registrations`.")
    ] = True


class WalletBody(Acting, kw_only=True, forbid_unknown_fields=True):
    """Give an agent a wallet, or take it away. The new wallet signs typed data (EIP-712), for
    which it has five minutes on the chain's clock."""

    wallet: Annotated[
        AddressText | UnsetType | None, Meta(description="The new wallet; null takes it away.")
    ] = UNSET
    deadline: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
        Meta(description="Unix seconds, where the wallet signed already."),
    ] = None
    signature: Annotated[
        HexText | None, Meta(description="The wallet's signature, where it signed already.")
    ] = None


class ProofOfPayment(Struct, kw_only=True, forbid_unknown_fields=True):
    """The transaction that paid for what is rated."""

    tx_hash: HashText
    chain_id: Annotated[
        Annotated[int, Meta(ge=1, le=2**63 - 1)] | None,
        Meta(description="Of the transaction; by default the agent's chain."),
    ] = None
    payer: Annotated[
        AddressText | None, Meta(description="By default the sender of the feedback.")
    ] = field(default=None, name="from")
    payee: Annotated[AddressText | None, Meta(description="By default the agent's wallet.")] = (
        field(default=None, name="to")
    )


class FeedbackBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Rate an agent."""

    value: Annotated[
        int | str | None,
        Meta(
            description='The number itself, exactly, such as 87 or "99.7"; with `decimals` the'
            " whole number that stands on the chain."
        ),
    ] = None
    decimals: Annotated[
        int | None, Meta(description="0 to 18: read `value` as value / 10^decimals.")
    ] = None
    tag1: Annotated[str, Meta(description="What `value` measures, e.g. `starred`.")] = ""
    tag2: str = ""
    endpoint: str = ""
    proof_of_payment: Annotated[
        ProofOfPayment | None,
        Meta(description="Goes into the feedback's file, which we write, and is checked later."),
    ] = None


class RevokeBody(Acting, kw_only=True, forbid_unknown_fields=True):
    """Revoke a feedback. The sender is its client."""


class ResponseBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Answer a feedback."""


class ValidationBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Ask a validator to validate the agent."""

    validator: AddressText | None = None
    request_hash: Annotated[
        HashText | None,
        Meta(
            description="keccak256 of what is behind `uri`. One key for the whole registry, taken"
            " for good by whoever uses it first: put something random into the request."
        ),
    ] = None
    contract: Annotated[
        AddressText | None,
        Meta(description="The validation registry; by default the chain's first."),
    ] = None


class ValidationResponseBody(WithFile, kw_only=True, forbid_unknown_fields=True):
    """Answer a validation request, as the validator that it names."""

    response: Annotated[int | None, Meta(description="0 failed to 100 passed.")] = None
    tag: str = ""
    chain: Annotated[
        int | str | None, Meta(description="Where the hash was used on several chains.")
    ] = None
    contract: Annotated[
        AddressText | None, Meta(description="Where it was used in several registries.")
    ] = None


class TransactionsBody(Struct, forbid_unknown_fields=True):
    """Signed transactions of an operation."""

    transactions: Annotated[list[Raw], Meta(min_length=1, max_length=MOST_TRANSACTIONS)]


class SignatureBody(Struct, forbid_unknown_fields=True):
    """The new wallet's signature of an operation's typed data."""

    signature: Annotated[HexText, Meta(max_length=2 * 8192 + 2)]


BODIES: tuple[type[Struct], ...] = (
    *(RegisterBody, UpdateBody, WalletBody, FeedbackBody, RevokeBody, ResponseBody),
    *(ValidationBody, ValidationResponseBody, TransactionsBody, SignatureBody),
)
