"""The `responses` of routes that answer with an operation, for the contract."""

from __future__ import annotations

from typing import Any

from renown.api.answers.operations import Operation, PlannedOperation
from renown.api.headers import TO_BE_FOUND
from renown.api.openapi import answers, problem_answers
from renown.errors import (
    BadAddress,
    BadBody,
    BadParameter,
    BodyTooLarge,
    CallWouldFail,
    ChainNotFound,
    ChainNotWritable,
    HostingFull,
    IdempotencyInProgress,
    IdempotencyMismatch,
    NodeError,
    OperationConflict,
    RenownError,
    SignerError,
    SignerNotAllowed,
    StoreError,
    TransactionRefused,
    UnsupportedMediaType,
    WalletNotProved,
)

OF_A_BODY: tuple[type[RenownError], ...] = (BadBody, BodyTooLarge, UnsupportedMediaType)
OF_A_KEY: tuple[type[RenownError], ...] = (IdempotencyInProgress, IdempotencyMismatch)
OF_A_WRITE: tuple[type[RenownError], ...] = (
    *(*OF_A_BODY, *OF_A_KEY, BadAddress, WalletNotProved, SignerNotAllowed),
    *(HostingFull, ChainNotFound, ChainNotWritable, OperationConflict, CallWouldFail),
    *(TransactionRefused, NodeError, SignerError),
)


def operation_answers(*problems: type[RenownError]) -> dict[int | str, dict[str, Any]]:
    """Of a route that makes an operation (201), or shows its plan (200)."""
    made = answers(Operation, not_modified=False)[200]
    as_of = {"Renown-As-Of": made["headers"]["Renown-As-Of"]}
    shown = answers(PlannedOperation, not_modified=False)[200]
    return {
        200: {**shown, "headers": as_of},
        201: {**made, "headers": {**as_of, **TO_BE_FOUND}},
        **problem_answers(BadParameter, *problems, StoreError),
    }


def operation_now(*problems: type[RenownError]) -> dict[int | str, dict[str, Any]]:
    """Of a route that answers with an operation as it is then."""
    made = answers(Operation, not_modified=False)[200]
    as_of = {"Renown-As-Of": made["headers"]["Renown-As-Of"]}
    return {
        200: {**made, "headers": as_of},
        **problem_answers(BadParameter, *problems, StoreError),
    }
