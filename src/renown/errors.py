"""Every error this package raises on purpose.

RenownError                     500
├── BadRequest                  400   the caller can mend it
│   ├── BadAgentKey
│   ├── BadAddress
│   ├── BadCursor
│   ├── BadParameter
│   ├── BlockBeyondHead               `at` names a block or time we have not reached
│   ├── PastNotServed                 this answer exists for the present only
│   ├── BadBody                       not JSON, or not the shape this route takes
│   ├── BodyTooSlow             408   the body did not arrive
│   ├── BodyTooLarge            413
│   ├── UnsupportedMediaType    415
│   └── RangeNotSatisfiable     416   bytes of a file that it does not have
├── Unauthorized                401   no key, or one that is not (or no longer) good
├── Forbidden                   403   known, but not allowed
│   ├── ScopeMissing
│   ├── WalletNotProved               the account has not shown that the address is its own
│   ├── SignerNotAllowed
│   ├── NotOperator                   for those who run this installation
│   ├── HostingFull                   the account's hosted files take all the room it has
│   └── SignUpClosed
├── NotFound                    404
│   ├── AgentNotFound
│   ├── ChainNotFound
│   ├── ExportNotFound
│   ├── FeedbackNotFound
│   ├── ValidationNotFound
│   ├── OperationNotFound
│   ├── TransactionNotFound           no node knows it
│   ├── KeyNotFound
│   ├── WalletNotFound
│   ├── FileNotHosted
│   ├── EntryNotFound                 no such entry of the audit log, or not yours to see
│   └── RouteNotFound
├── MethodNotAllowed            405
├── Conflict                    409   not as things stand
│   ├── AlreadyLinked                 the payment counts already
│   ├── IdempotencyInProgress         the first request with this key is not answered yet
│   ├── OperationConflict             the operation is not in a state for this
│   ├── WalletTaken                   another account has shown it to be its own
│   └── ChainNotWritable              no node to write through, or no signer
├── Unprocessable               422   understood, and refused
│   ├── IdempotencyMismatch           the key was used for another request
│   ├── WalletProofRefused
│   ├── RegistrationRefused           the file has errors
│   ├── CallWouldFail                 the contract says no
│   ├── TransactionRefused            the signed transaction is not what was to be signed
│   ├── PaymentRefused                no transfer that counts
│   └── WrongReceiver                 the transfer went to somebody else
├── TooManyRequests             429   retryable
├── UndecodableLog              500   the log goes to quarantine; indexing continues
├── NodeError                   502   retryable
│   ├── NodeRefused                   the node answered with an error of its own
│   ├── NodeTimeout
│   ├── RangeTooWide                  ask for fewer blocks
│   ├── BeyondHead                    the range ends past the node's head; never a size error
│   ├── NodeInconsistent              it contradicts itself or the chain; never store its answer
│   ├── WrongChain                    the node serves another chain
│   └── NoNodeLeft                    every node of the chain failed
├── SignerError                 502   the server's signer failed; retryable
├── SharedStoreError            503   Redis cannot serve this now; never reaches a client
├── StoreError                  503   retryable
│   ├── DatabaseUnavailable
│   ├── DatabaseFull
│   ├── Overloaded                    more wait for a connection than may
│   ├── AuditUnavailable              done, but the entry of the audit log was not to be written
│   └── SchemaBehind
├── LeaseLost                   409   another process writes this chain
├── ReorgTooDeep                409   deeper than the chain's policy; an operator must decide
├── CoverageGap                 409   the index provably lacks something
├── AuditBroken                 409   the audit log was tampered with
├── BackupRefused               409   the backup is damaged, or there is something in its way
├── ExportConflict              409   the folder holds another export, or the chain changed under it
├── OutputFailed                500   a file of ours cannot be written
└── SetupError                  500   the installation is not as it must be
    ├── BadSettings
    ├── DataDirectoryInUse
    └── ToolMissing
"""

from __future__ import annotations

from typing import Any, ClassVar

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE = 64, 65, 66, 69
EX_SOFTWARE, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 70, 75, 77, 78


class RenownError(Exception):
    """Unexpected server error."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EX_SOFTWARE
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, /, **context: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context = context  # JSON-safe and free of secrets: hex text, hosts without paths

    def __init_subclass__(cls) -> None:
        if not cls.__doc__:
            raise TypeError(f"{cls.__name__} needs a docstring: it is the problem's title")

    def problem(self, instance: str) -> dict[str, Any]:
        """This error as an RFC 9457 problem object; `instance` is the request path."""
        return {
            **self.context,
            "type": f"/problems/{self.slug}",
            "title": (self.__doc__ or "").splitlines()[0],
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }


class BadRequest(RenownError):
    """The request cannot be understood."""

    slug, status, exit_code = "bad-request", 400, EX_USAGE


class BadAgentKey(BadRequest):
    """Not an agent key."""

    slug = "bad-agent-key"


class BadAddress(BadRequest):
    """Not an address."""

    slug = "bad-address"


class BadCursor(BadRequest):
    """The page cursor is malformed or from another query."""

    slug = "bad-cursor"


class BadParameter(BadRequest):
    """A parameter has a value this endpoint does not take."""

    slug = "bad-parameter"


class BlockBeyondHead(BadRequest):
    """The block or time asked for has not been indexed yet."""

    slug = "block-beyond-head"


class PastNotServed(BadRequest):
    """This answer exists for the present only."""

    slug = "past-not-served"


class RangeNotSatisfiable(BadRequest):
    """The file has no such bytes."""

    slug, status = "range-not-satisfiable", 416


class BadBody(BadRequest):
    """The request's body cannot be read."""

    slug = "bad-body"


class BodyTooSlow(BadRequest):
    """The request's body did not arrive in time."""

    slug, status, exit_code = "body-too-slow", 408, EX_TEMPFAIL


class BodyTooLarge(BadRequest):
    """The request's body is too large."""

    slug, status = "body-too-large", 413


class UnsupportedMediaType(BadRequest):
    """The request's body is of a type this route does not take."""

    slug, status = "unsupported-media-type", 415


class Unauthorized(RenownError):
    """A valid key is needed."""

    slug, status, exit_code = "unauthorized", 401, EX_NOPERM


class Forbidden(RenownError):
    """This is not allowed."""

    slug, status, exit_code = "forbidden", 403, EX_NOPERM


class ScopeMissing(Forbidden):
    """The key lacks a scope."""

    slug = "scope-missing"


class WalletNotProved(Forbidden):
    """The account has not proved this wallet."""

    slug = "wallet-not-proved"


class SignerNotAllowed(Forbidden):
    """The account may not use the server's signer."""

    slug = "signer-not-allowed"


class NotOperator(Forbidden):
    """Only an operator may do this."""

    slug = "not-operator"


class HostingFull(Forbidden):
    """The account has no room left for hosted files."""

    slug = "hosting-full"


class SignUpClosed(Forbidden):
    """New accounts are not taken here."""

    slug = "sign-up-closed"


class NotFound(RenownError):
    """No such resource."""

    slug, status, exit_code = "not-found", 404, EX_NOINPUT


class AgentNotFound(NotFound):
    """No agent with this key."""

    slug = "agent-not-found"


class ChainNotFound(NotFound):
    """No such chain in this index."""

    slug = "chain-not-found"


class ExportNotFound(NotFound):
    """No such export, or no such file of it."""

    slug = "export-not-found"


class FeedbackNotFound(NotFound):
    """No such feedback."""

    slug = "feedback-not-found"


class ValidationNotFound(NotFound):
    """No validation request with this hash."""

    slug = "validation-not-found"


class OperationNotFound(NotFound):
    """No such operation."""

    slug = "operation-not-found"


class TransactionNotFound(NotFound):
    """No node knows this transaction."""

    slug = "transaction-not-found"


class KeyNotFound(NotFound):
    """No such key of this account."""

    slug = "key-not-found"


class WalletNotFound(NotFound):
    """No such wallet of this account."""

    slug = "wallet-not-found"


class FileNotHosted(NotFound):
    """No such file is hosted here."""

    slug = "file-not-hosted"


class EntryNotFound(NotFound):
    """The audit log has no entry with this id."""

    slug = "entry-not-found"


class RouteNotFound(NotFound):
    """No such route."""

    slug = "route-not-found"


class MethodNotAllowed(RenownError):
    """The route does not take this method."""

    slug, status, exit_code = "method-not-allowed", 405, EX_USAGE


class Conflict(RenownError):
    """This conflicts with how things stand."""

    slug, status, exit_code = "conflict", 409, EX_DATAERR


class AlreadyLinked(Conflict):
    """The payment is linked already."""

    slug = "already-linked"


class IdempotencyInProgress(Conflict):
    """The first request with this key is still being answered."""

    slug, exit_code, retryable = "idempotency-in-progress", EX_TEMPFAIL, True


class OperationConflict(Conflict):
    """The operation is not in a state for this."""

    slug = "operation-conflict"


class WalletTaken(Conflict):
    """Another account holds this wallet."""

    slug = "wallet-taken"


class ChainNotWritable(Conflict):
    """This installation cannot write to the chain."""

    slug, exit_code = "chain-not-writable", EX_UNAVAILABLE


class Unprocessable(RenownError):
    """This was understood and refused."""

    slug, status, exit_code = "unprocessable", 422, EX_DATAERR


class IdempotencyMismatch(Unprocessable):
    """The idempotency key was used for another request."""

    slug = "idempotency-mismatch"


class WalletProofRefused(Unprocessable):
    """The signature does not prove the wallet."""

    slug = "wallet-proof-refused"


class RegistrationRefused(Unprocessable):
    """The registration file has errors."""

    slug = "registration-refused"


class CallWouldFail(Unprocessable):
    """The contract would refuse this call."""

    slug = "call-would-fail"


class TransactionRefused(Unprocessable):
    """The signed transaction is not the one to be sent."""

    slug = "transaction-refused"


class PaymentRefused(Unprocessable):
    """The transaction is no payment that counts."""

    slug = "payment-refused"


class WrongReceiver(Unprocessable):
    """The payment went to somebody else."""

    slug = "wrong-receiver"


class TooManyRequests(RenownError):
    """The rate limit is reached."""

    slug, status, exit_code, retryable = "too-many-requests", 429, EX_TEMPFAIL, True


class UndecodableLog(RenownError):
    """A log that no decoder can read."""

    slug, exit_code = "undecodable-log", EX_DATAERR


class NodeError(RenownError):
    """A chain node failed."""

    slug, status, exit_code, retryable = "node-error", 502, EX_TEMPFAIL, True


class NodeRefused(NodeError):
    """A chain node answered with an error."""

    slug = "node-refused"


class NodeTimeout(NodeError):
    """A chain node did not answer in time."""

    slug = "node-timeout"


class RangeTooWide(NodeError):
    """A chain node wants a narrower range of blocks."""

    slug = "range-too-wide"


class BeyondHead(NodeError):
    """The range ends past the node's head."""

    slug = "beyond-head"


class NodeInconsistent(NodeError):
    """A chain node contradicts itself or the chain."""

    slug = "node-inconsistent"


class WrongChain(NodeError):
    """A chain node serves another chain."""

    slug, exit_code, retryable = "wrong-chain", EX_CONFIG, False


class NoNodeLeft(NodeError):
    """Every node of the chain failed."""

    slug = "no-node-left"


class SignerError(RenownError):
    """The server's signer failed."""

    slug, status, exit_code, retryable = "signer-error", 502, EX_TEMPFAIL, True


class SharedStoreError(RenownError):
    """The shared store cannot serve this now."""

    slug, status, exit_code, retryable = "shared-store-error", 503, EX_TEMPFAIL, True


class StoreError(RenownError):
    """The database cannot serve this now."""

    slug, status, exit_code, retryable = "store-error", 503, EX_TEMPFAIL, True


class DatabaseUnavailable(StoreError):
    """The database cannot be reached."""

    slug, exit_code = "database-unavailable", EX_UNAVAILABLE


class DatabaseFull(StoreError):
    """The database has no room left."""

    slug = "database-full"


class Overloaded(StoreError):
    """The server has more to do than it can."""

    slug = "overloaded"


class AuditUnavailable(StoreError):
    """The audit log cannot be written."""

    slug = "audit-unavailable"


class SchemaBehind(StoreError):
    """The database schema is not the one this version needs."""

    slug, exit_code, retryable = "schema-behind", EX_CONFIG, False


class LeaseLost(RenownError):
    """Another process writes this chain."""

    slug, status, exit_code = "lease-lost", 409, EX_TEMPFAIL


class ReorgTooDeep(RenownError):
    """The chain was reorganised deeper than its policy allows."""

    slug, status, exit_code = "reorg-too-deep", 409, EX_DATAERR


class CoverageGap(RenownError):
    """The index provably lacks something."""

    slug, status, exit_code = "coverage-gap", 409, EX_DATAERR


class AuditBroken(RenownError):
    """The audit log is not as it was."""

    slug, status, exit_code = "audit-broken", 409, EX_DATAERR


class BackupRefused(RenownError):
    """The backup cannot be used here."""

    slug, status, exit_code = "backup-refused", 409, EX_DATAERR


class ExportConflict(RenownError):
    """This folder cannot take that export."""

    slug, status, exit_code = "export-conflict", 409, EX_DATAERR


class OutputFailed(RenownError):
    """A file could not be written."""

    slug, exit_code, retryable = "output-failed", EX_TEMPFAIL, True


class SetupError(RenownError):
    """The installation is not as it must be."""

    slug, exit_code = "setup-error", EX_CONFIG


class BadSettings(SetupError):
    """A setting is wrong."""

    slug = "bad-settings"


class DataDirectoryInUse(SetupError):
    """Another process uses the data directory."""

    slug, exit_code = "data-directory-in-use", EX_TEMPFAIL


class ToolMissing(SetupError):
    """A program this command needs is not installed."""

    slug = "tool-missing"
    exit_code = EX_UNAVAILABLE
