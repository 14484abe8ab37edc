"""The REST API from Python: a client, its errors, and operations that are waited for."""

from renown.sdk.client import Client
from renown.sdk.operations import Operation, OperationTransaction, read_operation, wait

__all__ = ["Client", "Operation", "OperationTransaction", "read_operation", "wait"]
