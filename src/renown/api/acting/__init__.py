"""Writes: from the body of a request to an operation, and on to its signatures."""
