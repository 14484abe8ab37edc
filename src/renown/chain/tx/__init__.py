"""Transactions: built, signed, read, sent and looked up. Nothing here decides what to send."""
