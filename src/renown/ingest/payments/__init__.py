"""Payments: found in feedback files, looked for on their chains, and settled until final."""

from renown.ingest.payments.worker import PaymentWorker, Tally

__all__ = ["PaymentWorker", "Tally"]
