"""Every error this package raises on purpose.

RenownError                     500
├── BadRequest                  400   the caller can mend it
│   ├── BadAgentKey
│   ├── BadAddress
│   ├── BadCursor
│   ├── BadParameter
│   ├── BlockBeyondHead               `at` names a block or time we have not reached
│   ├── PastNotServed                 this answer exists for the present only
│   └── RangeNotSatisfiable     416   bytes of a file that it does not have
├── NotFound                    404
│   ├── AgentNotFound
│   ├── ChainNotFound
│   ├── ExportNotFound
│   └── RouteNotFound
├── MethodNotAllowed            405
├── UndecodableLog              500   the log goes to quarantine; indexing continues
├── NodeError                   502   retryable
│   ├── NodeRefused                   the node answered with an error of its own
│   ├── NodeTimeout
│   ├── RangeTooWide                  ask for fewer blocks
│   ├── BeyondHead                    the range ends past the node's head; never a size error
│   ├── NodeInconsistent              it contradicts itself or the chain; never store its answer
│   ├── WrongChain                    the node serves another chain
│   └── NoNodeLeft                    every node of the chain failed
├── StoreError                  503   retryable
│   ├── DatabaseUnavailable
│   ├── DatabaseFull
│   └── SchemaBehind
├── LeaseLost                   409   another process writes this chain
├── ReorgTooDeep                409   deeper than the chain's policy; an operator must decide
├── CoverageGap                 409   the index provably lacks something
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
EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 70, 75, 78


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


class RouteNotFound(NotFound):
    """No such route."""

    slug = "route-not-found"


class MethodNotAllowed(RenownError):
    """The route does not take this method."""

    slug, status, exit_code = "method-not-allowed", 405, EX_USAGE


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


class StoreError(RenownError):
    """The database cannot serve this now."""

    slug, status, exit_code, retryable = "store-error", 503, EX_TEMPFAIL, True


class DatabaseUnavailable(StoreError):
    """The database cannot be reached."""

    slug, exit_code = "database-unavailable", EX_UNAVAILABLE


class DatabaseFull(StoreError):
    """The database has no room left."""

    slug = "database-full"


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
