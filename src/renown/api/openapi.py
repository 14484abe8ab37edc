"""The contract: OpenAPI 3.1, its schemas made from the very types that are encoded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from renown import errors
from renown.api import headers
from renown.api.access.gate import COUNTED_BY_WALLET
from renown.api.acting import bodies
from renown.api.answers import (
    accounts,
    agents,
    audit,
    batch,
    chains,
    documents,
    endpoints,
    exports,
    feedback,
    findings,
    history,
    keys,
    marks,
    metadata,
    operations,
    payments,
    registration,
    reputation,
    stats,
    stream,
    validations,
)
from renown.api.problems import PROBLEM_JSON
from renown.api.routing import GatedRoute
from renown.errors import RenownError

TITLE = "Renown"
SUMMARY = "The self-hosted, open index of ERC-8004 agents."
DESCRIPTION = """\
Every answer is true at a block: `as_of` in its body and `Renown-As-Of` among its headers say
which. `?at=` asks for the past. Integers that may exceed 2^53 are strings; addresses are
checksummed; null is a state and never stands for zero. An `ETag` changes when an answer does, not
when only the head moved. Errors are problems (RFC 9457), each `type` a page that explains it."""

BODIES: tuple[type[msgspec.Struct], ...] = (
    *(agents.Agent, agents.AgentPage, batch.Batch, metadata.MetadataPage),
    *(feedback.FeedbackPage, feedback.FeedbackRecords, feedback.ResponsePage),
    *(feedback.SaidFeedbackPage, history.HistoryPage, reputation.Reputation),
    *(validations.ValidationPage, stream.OutboxPage, stream.QuarantinePage),
    *(chains.Chain, chains.Chains, chains.Status, chains.Network),
    *(exports.Exports, exports.Export),
    *(registration.Registration, documents.DocumentHistory, documents.ResolutionAttempts),
    *(documents.DocumentDiff, findings.AgentFindings, findings.FindingCounts),
    *(findings.FindingMeaning, endpoints.AgentEndpoints),
    *(payments.PaymentPage, payments.ClaimPage, payments.ClaimWithPayments),
    *(payments.LinkPayment, stats.AgentStats),
    *(accounts.Account, accounts.Wallet, accounts.Challenge, accounts.ChallengeAsked),
    *(accounts.SignedMessage, accounts.Session, keys.ApiKeys, keys.ApiKeyMade),
    *(keys.ApiKeyAsked, keys.RotationAsked),
    *(operations.Operation, operations.OperationPage, operations.PlannedOperation),
    *(audit.AuditPage, audit.WholeAuditEntry, audit.AuditSummary, audit.AuditProof),
    *(audit.AuditConsistency, audit.AuditCheckpoints, audit.AuditReview, audit.ReviewAsked),
    *(marks.Marks, marks.MarkAsked),
    *bodies.BODIES,
)
_REF = "#/components/schemas/{name}"
_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "An error, as RFC 9457 describes them. Further members say what was wrong.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "Path of the page that explains it."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "Path of the request."},
    },
}
_BEARER: dict[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "ak_{env}_{id}_{secret}_{crc32}",
    "description": "An API key, or that of a session. `x-renown-scope` says which scope it needs;"
    " where `security` has an empty member, too, none is needed unless the operator closed public"
    " reads. `x-renown-cost` is the class of rate limits that counts.",
}


def answers(
    body: type[msgspec.Struct], *problems: type[RenownError], not_modified: bool = True
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with `body` or one of `problems`.

    A malformed parameter (400) and a database that is away (503) are always among them.
    """
    described: dict[int | str, dict[str, Any]] = {
        200: {
            "description": _first_line(body),
            "headers": headers.OF_AN_ANSWER,
            "content": {"application/json": {"schema": {"$ref": _ref(body)}}},
        }
    }
    if not_modified:
        described[304] = {"description": "You have it already.", "headers": headers.OF_AN_ANSWER}
    described.update(problem_answers(errors.BadParameter, *problems, errors.StoreError))
    return described


def own_answers(
    body: type[msgspec.Struct] | None, *problems: type[RenownError], status: int = 200
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route about what belongs to the account that asks: with `body`, true now
    and at no block, or with nothing (204)."""
    said: dict[int | str, dict[str, Any]]
    if body is None:
        said = {204: {"description": "Done."}}
    else:
        content = {"application/json": {"schema": {"$ref": _ref(body)}}}
        said = {status: {"description": _first_line(body), "content": content}}
    said.update(problem_answers(errors.BadParameter, *problems, errors.StoreError))
    return said


def problem_answers(*problems: type[RenownError]) -> dict[int | str, dict[str, Any]]:
    """The `responses` that `problems` make, those of one status together."""
    by_status: dict[int, list[str]] = {}
    for kind in problems:
        by_status.setdefault(kind.status, []).append(f"{kind.slug}: {_first_line(kind)}")
    return {
        status: {
            "description": " · ".join(lines),
            "content": {PROBLEM_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
        for status, lines in by_status.items()
    }


def install(app: FastAPI) -> None:
    """Let `app.openapi()` give our document."""

    @cache
    def document() -> dict[str, Any]:
        made = get_openapi(
            title=TITLE,
            version=app.version,
            summary=SUMMARY,
            description=DESCRIPTION,
            routes=app.routes,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        _drop_validation_errors(made)
        _say_who_may(made, app.routes)
        components = made.setdefault("components", {})
        components["schemas"] = schemas()
        components["headers"] = headers.HEADERS
        components["securitySchemes"] = {"bearerKey": _BEARER}
        return made

    app.openapi = document  # type: ignore[method-assign]


@cache
def schemas() -> dict[str, Any]:
    """JSON Schemas of everything that is answered, by name."""
    _, components = msgspec.json.schema_components(BODIES, ref_template=_REF)
    return {**components, "Problem": _PROBLEM}


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """FastAPI adds its own 422, which our problem handler never lets out."""
    for operation in _operations(document):
        if PROBLEM_JSON not in operation["responses"].get("422", {}).get("content", ()):
            operation["responses"].pop("422", None)


def _say_who_may(document: dict[str, Any], routes: Iterable[Any]) -> None:
    """Add to each operation what the gate does before it."""
    for route in routes:
        if not isinstance(route, GatedRoute) or not route.include_in_schema:
            continue
        access = route.access
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            problems: list[type[RenownError]] = []
            if access.scope is not None:
                operation["security"] = [{"bearerKey": []}, *([{}] if access.public else [])]
                operation["x-renown-scope"] = access.scope
                problems += [errors.Unauthorized, errors.ScopeMissing]
            else:
                operation["security"] = []
            if access.cost is not None:
                operation["x-renown-cost"] = access.cost
                problems.append(errors.TooManyRequests)
            if access.cost in COUNTED_BY_WALLET:  # whose bodies the gate reads
                problems += [errors.BodyTooLarge, errors.BodyTooSlow]
            elif "requestBody" in operation:
                problems.append(errors.BodyTooSlow)
            told = " ".join(one["description"] for one in operation["responses"].values())
            untold = [kind for kind in problems if f"{kind.slug}:" not in told]
            for status, said in problem_answers(*untold).items():
                before = operation["responses"].get(str(status))
                if before is not None:
                    said["description"] += f" · {before['description']}"
                operation["responses"][str(status)] = said
            headers.describe(operation, is_limited=access.cost is not None)


def _operations(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        yield from path.values()


def _ref(body: type[msgspec.Struct]) -> str:
    return _REF.format(name=body.__name__)


def _first_line(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
