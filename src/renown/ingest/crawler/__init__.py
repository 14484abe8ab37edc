"""The crawler: from facts to URIs, from URIs to documents, and back again when it is time."""

from renown.ingest.crawler.crawler import Crawler, Tally
from renown.ingest.crawler.fetching import Reader
from renown.ingest.crawler.schedule import BRISK, Pauses

__all__ = ["BRISK", "Crawler", "Pauses", "Reader", "Tally"]
