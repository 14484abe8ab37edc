"""Agents' rows for search and lists, made of what the index and the crawler know of them."""

from renown.ingest.profiles.refresh import refresh

__all__ = ["refresh"]
