"""Database URLs: what may be shown of one, and the hosts that one names."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from renown.errors import BadSettings

_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]@]+)(?::(\d{1,5}))?")


def database_place(dsn: str) -> str:
    """`host:port/database` of a database URL, for messages: no user, no password.

    Raises:
        BadSettings: not a URL that PostgreSQL's libraries take.
    """
    bad = "DATABASE_URL must look like postgresql://user:password@host:5432/database"
    # Whatever is said here never quotes the URL: a part misread as host may be the password.
    if any(c.isspace() for c in dsn):
        raise BadSettings(f"{bad}: it contains white space")
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise BadSettings(f"{bad}: it does not begin with postgresql://")
    if "#" in dsn:
        raise BadSettings(f"{bad}: write # as %23 (and / as %2F, @ as %40) in a password")
    address, _, query = dsn.partition("://")[2].partition("?")
    authority, _, database = address.partition("/")
    hosts = authority.rpartition("@")[2] or dict(parse_qsl(query)).get("host", "localhost")
    places = []
    for host in hosts.split(","):
        match = _HOST.fullmatch(host)
        if match is None or int(match[2] or 5432) > 65535:
            raise BadSettings(f"{bad}: host or port cannot be read")
        places.append(f"{unquote(match[1])}:{match[2] or 5432}")
    return f"{','.join(places)}/{unquote(database)}"


def each_host(dsn: str) -> list[str]:
    """A URL that names several hosts (`h1:5432,h2:5432`) as one URL for each; else `dsn` alone."""
    scheme, _, rest = dsn.partition("://")
    address, mark, query = rest.partition("?")
    authority, slash, database = address.partition("/")
    user, at, hosts = authority.rpartition("@")
    tail = f"{slash}{database}{mark}{query}"
    return [f"{scheme}://{user}{at}{host}{tail}" for host in hosts.split(",")]


def names_attributes(dsn: str) -> bool:
    """Whether the URL itself says what kind of server it wants."""
    return "target_session_attrs" in dict(parse_qsl(dsn.partition("?")[2]))
