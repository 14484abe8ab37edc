"""All configuration: environment variables, read once at start. Only entry points import this.

Names that operators already know keep them (DATABASE_URL, DB_POOL_MAX_SIZE, RPC_URL, CHAIN); the
rest begin with RENOWN_, and a variable of that prefix that is none of ours stops the start.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, get_args, get_origin

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from renown.errors import BadAddress, BadSettings, ChainNotFound
from renown.obs.hosts import UNKNOWN_HOST, host_of
from renown.spec.allowance import ETHER, Allowance
from renown.spec.api_keys import Peppers
from renown.spec.deployments import find
from renown.spec.limits import PerMinute, read_limits
from renown.spec.proxies import TrustedProxies
from renown.spec.tokens import KNOWN_TOKENS, Tokens, read_tokens, tokens_with
from renown.types import Address, parse_address

PREFIX = "RENOWN_"


def _default_data_dir() -> Path:
    """Never root's home: PostgreSQL runs under another account then, and could not enter it."""
    if os.geteuid() == 0:
        return Path("/var/lib/renown")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "renown"


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _named(variable: str, default: Any, description: str, **bounds: Any) -> Any:
    """A setting under a name of its own, without the prefix."""
    return Field(default, validation_alias=variable, description=description, **bounds)


class Settings(BaseSettings):
    """Every setting. Unless said otherwise its variable is `RENOWN_` and the name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    # Database
    database_url: SecretStr | None = _named(
        "DATABASE_URL",
        None,
        "PostgreSQL 15 or newer, `postgresql://user:password@host:5432/database`; may lead through "
        "PgBouncer. Without it an embedded PostgreSQL runs in the data directory.",
    )
    database_direct_url: SecretStr | None = _named(
        "DATABASE_DIRECT_URL",
        None,
        "The same database without PgBouncer, for workers, migrations and listeners. "
        "Default: DATABASE_URL.",
    )
    database_replica_url: SecretStr | None = _named(
        "DATABASE_REPLICA_URL",
        None,
        "A streaming replica, for the API's public reads; may lead through PgBouncer. Without it "
        "all reads go to DATABASE_URL.",
    )
    replica_max_lag_seconds: PositiveFloat = Field(
        default=10.0,
        description="How far the replica may be behind before reads go to DATABASE_URL instead.",
    )
    db_pool_min_size: NonNegativeInt = _named(
        "DB_POOL_MIN_SIZE", 10, "Connections the API keeps open."
    )
    db_pool_max_size: PositiveInt = _named(
        "DB_POOL_MAX_SIZE", 30, "Most connections one API process opens."
    )
    db_pool_waiters: NonNegativeInt = Field(
        default=300,
        description="Requests that may wait for a connection at once; one more is answered with "
        "503 at once.",
    )
    db_max_queries: PositiveInt = _named(
        "DB_MAX_QUERIES", 50_000, "Queries after which a connection of the API is replaced."
    )
    db_max_inactive_time: Annotated[float, Field(ge=0)] = _named(
        "DB_MAX_INACTIVE_TIME", 300.0, "Idle seconds after which one is closed; 0 for never."
    )
    db_timeout: PositiveFloat = _named(
        "DB_TIMEOUT", 10.0, "Seconds to wait for a connection of the pool, or to open one."
    )
    db_command_timeout: PositiveFloat = _named(
        "DB_COMMAND_TIMEOUT", 30.0, "Seconds a statement of the API may take."
    )
    pg_statement_cache: NonNegativeInt = Field(
        default=100,
        description="Prepared statements each API connection keeps; must be 0 behind PgBouncer in "
        "transaction mode.",
    )
    pg_bin_dir: Path | None = Field(
        default=None,
        description="Folder of `postgres` and `initdb` for the embedded server. Default: those of "
        "the `embedded` extra, else a PostgreSQL installed on the system.",
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder of the embedded database and of generated secrets. Default: "
        "`~/.local/share/renown` (XDG_DATA_HOME is respected), for root `/var/lib/renown`.",
    )

    # Chains
    chains: Listed = _named(
        "CHAIN",
        ("devnet",),
        "Chains to follow, comma separated: slugs (`base`), ids (`8453`) or CAIP-2 names.",
    )
    rpc_url: SecretStr | None = _named(
        "RPC_URL",
        None,
        "Node URLs of the one chain in CHAIN, comma separated, best first. Default: public nodes; "
        "for the devnet one that Renown starts.",
    )
    rpc_urls_json: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("RENOWN_RPC_URLS", "rpc_urls_json"),
        description="Node URLs of several chains: a JSON object from chain (slug or id) to a list "
        "of URLs, best first.",
    )
    validation_contracts_json: str | None = Field(
        default=None,
        validation_alias=AliasChoices("RENOWN_VALIDATION_CONTRACTS", "validation_contracts_json"),
        description="Validation registries to follow beside the known ones (experimental): a JSON "
        "object from chain (slug or id) to a list of addresses.",
    )
    poll_seconds: Annotated[float, Field(ge=0.05, le=600)] | None = Field(
        default=None,
        description="Pause between looks at a chain's head. Default: paced by its blocks.",
    )
    backfill_batch_events: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000,
        description="Events that one transaction stores at most during a backfill, about.",
    )

    # Documents
    crawl: bool = Field(
        default=True,
        description="Whether `renown up` reads the documents behind URIs (true or false).",
    )
    probe: bool = Field(
        default=False,
        description="Whether it also calls the endpoints that agents declare. Off: they stay "
        "`unknown`.",
    )
    probe_opt_out: Listed = Field(
        default=(),
        description="Hosts never to be probed, comma separated; `*.example.org` for all below one.",
    )
    fetch_contact: str | None = Field(
        default=None,
        description="Where a host that we call can complain: a URL or an e-mail address, sent in "
        "the user agent.",
        max_length=200,
    )
    fetch_connections: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=64, description="Strangers that are asked at once."
    )
    fetch_per_host: Annotated[int, Field(ge=1, le=16)] = Field(
        default=2, description="Questions to one host at once."
    )
    fetch_open: Listed = Field(
        default=(),
        description="For development: private hosts that may be fetched from, comma separated. "
        "`localhost:8080` opens one; `*.example=http://127.0.0.1:8104` sends requests for the "
        "hosts on the left to the origin on the right.",
    )
    ipfs_gateways: Listed = Field(
        default=("https://ipfs.io", "https://dweb.link"),
        description="Where `ipfs://` is read, in this order; CIDs are checked.",
    )
    ar_gateways: Listed = Field(
        default=("https://arweave.net",), description="Where `ar://` is read, in this order."
    )
    exports_dir: Path | None = Field(
        default=None,
        description="Folder of bulk files. Default: `exports` in the data directory.",
    )

    # API
    host: str = Field(default="127.0.0.1", description="Address the API listens on.", min_length=1)
    port: Port = Field(default=8004, description="Port the API listens on; 0 for any free one.")
    cursor_secret: SecretStr | None = Field(
        default=None,
        description="Key that signs page cursors, at least 16 characters; the same in every API "
        "process. Default: made at random and kept in the data directory.",
    )

    public_url: str | None = Field(
        default=None,
        description="Where clients find the API, e.g. `https://renown.example`: named by sign-in "
        "messages and hosted files. Default: `http://localhost` with the port.",
    )
    public_reads: bool = Field(
        default=True, description="Whether reads work without a key (true or false)."
    )
    trusted_proxies: Listed = Field(
        default=(),
        description="Addresses or networks of proxies whose `X-Forwarded-For` is believed, comma "
        "separated; `unix` for whoever connects through a Unix socket.",
    )
    redis_url: SecretStr | None = _named(
        "REDIS_URL",
        None,
        "Redis 7 or Valkey that all API processes share limits and dear answers through. Without "
        "it each process keeps its own.",
    )
    limits_json: str | None = Field(
        default=None,
        validation_alias=AliasChoices("RENOWN_LIMITS", "limits_json"),
        description="Rate limits that differ from the default: a JSON object from tier "
        "(`anonymous`, `free`, `pro`, `enterprise`) to an object from class (`read`, `search`, "
        "`write`, `auth`) to requests per minute.",
    )

    drain_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        default=10.0,
        description="How long open requests may take to end when a service is told to stop.",
    )
    drain_pause_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0.0,
        description="How long an API that is told to stop goes on as before but for `/readyz`, "
        "which says 503: as long as a proxy that asks it takes to send requests elsewhere. Comes "
        "before RENOWN_DRAIN_SECONDS.",
    )
    ready_lag_seconds: PositiveFloat = Field(
        default=600.0,
        description="Age of the last look at a chain's head above which `/readyz` says no.",
    )

    # Accounts
    sign_up: bool = Field(
        default=False,
        description="Whether signing in with a wallet nobody knows makes an account (true or "
        "false).",
    )
    key_pepper: SecretStr | None = Field(
        default=None,
        description="Secret under which API keys are hashed, at least 16 characters; the same in "
        "every API process. Several as `version:secret`, comma separated, newest first, while one "
        "replaces another. Default: made at random and kept in the data directory.",
    )

    # Acting
    signer_keystores: Listed = Field(
        default=(),
        description="Keystore files (Web3 Secret Storage, V3) of wallets that the server signs "
        "with, comma separated. None, and no RENOWN_SIGNER_URL: it signs nothing.",
    )
    signer_password_file: Path | None = Field(
        default=None, description="File with the password of those keystores."
    )
    signer_url: SecretStr | None = Field(
        default=None,
        description="A remote signer that speaks JSON-RPC (`eth_accounts`, `eth_signTransaction`, "
        "`eth_signTypedData_v4`), such as Web3Signer or Clef, instead of keystores.",
    )
    signer_max_fee_gwei: PositiveFloat = Field(
        default=200.0, description="Most the server's signer offers per unit of gas."
    )
    signer_max_gas: PositiveInt = Field(
        default=3_000_000, description="Most gas of a transaction that the server's signer signs."
    )
    signer_daily_ether: PositiveFloat = Field(
        default=1.0,
        description="Most that the server's signer spends for one account on one chain within 24 "
        "hours, in the chain's own currency: gas times the most offered, of all that it signed.",
    )
    tokens_json: str | None = Field(
        default=None,
        validation_alias=AliasChoices("RENOWN_TOKENS", "tokens_json"),
        description="Tokens that count as payment beside USDC: a JSON object from chain (slug or "
        'id) to an object from address to `{"symbol": "EURC", "decimals": 6}`.',
    )

    # Commands that act
    api_url: str | None = Field(
        default=None,
        description="The API that `renown register`, `rate` and the like talk to. Default: this "
        "machine's.",
    )
    api_key: SecretStr | None = Field(default=None, description="The API key that they present.")
    keystore: Path | None = Field(
        default=None, description="Keystore file of the wallet that they sign with."
    )
    keystore_password_file: Path | None = Field(
        default=None, description="File with its password. Default: it is asked for."
    )

    # Audit
    audit: bool = Field(
        default=True,
        description="Whether the API keeps an entry of every write, every failed authentication "
        "and every read with a key (true or false). Changes of rows are under the log either way.",
    )
    audit_body_bytes: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=8_192,
        description="Most that is kept of the body of a request, and of its answer.",
    )
    audit_dir: Path | None = Field(
        default=None,
        description="Folder that signed checkpoints are written to, outside the database: best one "
        "that is copied to another machine. Default: `audit` in the data directory.",
    )
    audit_checkpoint_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        default=60.0, description="Time between two checkpoints, if there are new entries."
    )
    audit_key: SecretStr | None = Field(
        default=None,
        description="Ed25519 key that signs checkpoints: 32 bytes in hexadecimal. Default: made at "
        "random and kept in the data directory.",
    )
    audit_origin: str = Field(
        default="renown",
        description="Name of this installation's log, the first line of its checkpoints.",
        pattern=r"^[^\s+]{1,100}$",
    )

    # Metrics, traces
    metrics_host: str = Field(
        default="127.0.0.1",
        description="Address that a worker's metrics and health listen on.",
        min_length=1,
    )
    metrics_port: Port | None = Field(
        default=None,
        description="Port that a worker (`renown index`, `crawl`, `probe`, `watch`, `notary`) "
        "serves `/metrics` and `/healthz` on; 0 for any free one. Default: none. The API's are on "
        "its own port.",
    )
    traces_url: SecretStr | None = Field(
        default=None,
        description="OpenTelemetry collector that traces are sent to (OTLP over HTTP). Needs the "
        "`tracing` extra. Default: no traces.",
    )
    traces_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="Share of requests that are traced."
    )

    # Logs
    log_format: Literal["console", "json"] = Field(
        default="console", description="Form of log lines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log lines to show."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment; no files."""
        return init_settings, env_settings

    @field_validator("chains")
    @classmethod
    def _chains_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one chain")
        for name in names:
            _chain_id(name)
        return names

    @field_validator("cursor_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 16:
            raise ValueError("at least 16 characters are needed")
        return secret

    @field_validator("key_pepper")
    @classmethod
    def _peppers_can_be_read(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            Peppers.from_setting(secret.get_secret_value())
        return secret

    @field_validator("audit_key")
    @classmethod
    def _is_a_seed(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch("[0-9a-fA-F]{64}", secret.get_secret_value()):
            raise ValueError("write 64 hexadecimal digits")
        return secret

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        TrustedProxies(names)
        return names

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        schemes = ("redis://", "rediss://", "unix://")
        if url is not None and not url.get_secret_value().startswith(schemes):
            raise ValueError("write redis://, rediss:// or unix://")
        return url

    @model_validator(mode="after")
    def _pool_sizes_fit(self) -> Self:
        if self.db_pool_min_size > self.db_pool_max_size:
            if "db_pool_min_size" in self.model_fields_set:
                raise ValueError("DB_POOL_MIN_SIZE must not exceed DB_POOL_MAX_SIZE")
            # Who asks for few connections must not have to lower our default, too.
            object.__setattr__(self, "db_pool_min_size", self.db_pool_max_size)
        return self

    @field_validator(
        "data_dir",
        "pg_bin_dir",
        "exports_dir",
        "signer_password_file",
        "audit_dir",
        "keystore",
        "keystore_password_file",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path is not None else None

    @cached_property
    def rpc_urls(self) -> dict[int, tuple[str, ...]]:
        """Node URLs by chain id, as RENOWN_RPC_URLS and RPC_URL give them, best first.

        Secret: only their hosts may be shown. Chains without one are left out.
        """
        variable = "RENOWN_RPC_URLS"
        text = self.rpc_urls_json.get_secret_value() if self.rpc_urls_json else None
        found = {
            chain: tuple(_node_url(variable, url) for url in urls)
            for chain, urls in _by_chain(variable, text).items()
        }
        if self.rpc_url is not None:
            urls = _listed(self.rpc_url.get_secret_value())
            if len(self.chains) != 1:
                raise BadSettings(
                    "RPC_URL serves one chain, but CHAIN names several: use RENOWN_RPC_URLS"
                )
            found[_chain_id(self.chains[0])] = tuple(_node_url("RPC_URL", url) for url in urls)
        return found

    @cached_property
    def validation_contracts(self) -> dict[int, tuple[Address, ...]]:
        """Addresses by chain id, as RENOWN_VALIDATION_CONTRACTS gives them."""
        variable = "RENOWN_VALIDATION_CONTRACTS"
        try:
            return {
                chain: tuple(parse_address(address) for address in addresses)
                for chain, addresses in _by_chain(variable, self.validation_contracts_json).items()
            }
        except BadAddress as exc:
            raise BadSettings(f"{variable}: {exc.detail}") from exc

    @cached_property
    def limits(self) -> PerMinute:
        """Requests per minute by tier and class: the defaults and what RENOWN_LIMITS changes."""
        try:
            return read_limits(self.limits_json)
        except ValueError as exc:
            raise BadSettings(f"RENOWN_LIMITS: {exc}") from None

    @cached_property
    def tokens(self) -> Tokens:
        """Tokens that count as payment: those known here, and what RENOWN_TOKENS adds."""
        if self.tokens_json is None:
            return KNOWN_TOKENS
        try:
            return tokens_with(read_tokens(json.loads(self.tokens_json)))
        except ValueError as exc:
            raise BadSettings(f"RENOWN_TOKENS: {exc}") from None

    @property
    def allowance(self) -> Allowance:
        """How much the server's signer does for an account."""
        daily_wei = round(self.signer_daily_ether * ETHER)
        return Allowance(most_gas=self.signer_max_gas, daily_wei=daily_wei)

    @property
    def exports_folder(self) -> Path:
        """Where bulk files are."""
        return self.exports_dir or self.data_dir / "exports"

    @property
    def public_base_url(self) -> str:
        """Where clients find the API, without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    def cursor_key(self) -> bytes:
        """The key that signs page cursors; made and kept in the data directory if none is set."""
        if self.cursor_secret is not None:
            return self.cursor_secret.get_secret_value().encode()
        return _kept_secret(self.data_dir / "cursor-secret", "RENOWN_CURSOR_SECRET")

    @property
    def audit_folder(self) -> Path:
        """Where checkpoints of the audit log are written."""
        return self.audit_dir or self.data_dir / "audit"

    def audit_seed(self) -> bytes:
        """The Ed25519 seed that signs checkpoints, 32 bytes; made and kept if none is set."""
        if self.audit_key is not None:
            return bytes.fromhex(self.audit_key.get_secret_value())
        kept = _kept_secret(self.data_dir / "audit-key", "RENOWN_AUDIT_KEY")
        try:
            seed = bytes.fromhex(kept.decode("ascii"))
        except ValueError:
            seed = b""
        if len(seed) != 32:
            raise BadSettings(
                f"{self.data_dir / 'audit-key'} is damaged: remove it, or set RENOWN_AUDIT_KEY"
            )
        return seed

    def key_peppers(self) -> Peppers:
        """What API keys are hashed under; made and kept in the data directory if none is set."""
        if self.key_pepper is not None:
            return Peppers.from_setting(self.key_pepper.get_secret_value())
        kept = _kept_secret(self.data_dir / "key-pepper", "RENOWN_KEY_PEPPER")
        return Peppers.from_setting(kept.decode("latin-1"))


def load_settings(**given: Any) -> Settings:
    """Settings from the environment; `given` ones (by field name) win, those that are None do not.

    Raises:
        BadSettings: one line per wrong or unknown variable, none with its value.
    """
    known = {row.variable for row in describe()}
    wrong = [
        f"{name}: no such setting{_suggestion(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]
    settings = None
    try:
        settings = Settings(**{name: v for name, v in given.items() if v is not None})
    except ValidationError as exc:
        wrong += [_sentence(error["loc"], error["msg"]) for error in exc.errors()]
    if wrong or settings is None:
        raise BadSettings("\n".join(wrong))
    # They are read lazily, but what is wrong with them must be said now.
    _ = settings.rpc_urls, settings.validation_contracts, settings.limits, settings.tokens
    return settings


@dataclass(frozen=True, slots=True)
class Described:
    """One setting, for the reference pages. `default` is text; "" when there is none."""

    variable: str
    type: str
    default: str
    description: str
    secret: bool


def describe() -> list[Described]:
    """Every setting in the order of the class, which groups them."""
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        default = "" if field.default_factory or field.default is None else field.default
        rows.append(
            Described(
                variable=str(variable or PREFIX + name.upper()),
                type=_type_name(name, field.annotation),
                default=",".join(default) if isinstance(default, tuple) else str(default),
                description=field.description or "",
                secret=SecretStr in (field.annotation, *get_args(field.annotation)),
            )
        )
    return rows


def _by_chain(variable: str, text: str | None) -> dict[int, list[str]]:
    """A JSON object from chain to list of texts, by chain id. `text` may hold secrets."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        _reject(variable)
    if not isinstance(value, dict):
        _reject(variable)
    found: dict[int, list[str]] = {}
    for chain, items in value.items():
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            _reject(variable)
        try:
            found[find(chain).chain_id] = items
        except ChainNotFound as exc:
            raise BadSettings(f"{variable}: {exc.detail}") from None
    return found


def _reject(variable: str) -> NoReturn:
    raise BadSettings(f'{variable}: write a JSON object like {{"base": ["...", "..."]}}') from None


def _chain_id(name: str) -> int:
    try:
        return find(name).chain_id
    except ChainNotFound as exc:
        raise ValueError(exc.detail) from None


def _node_url(variable: str, url: str) -> str:
    if host_of(url) == UNKNOWN_HOST or not url.startswith(("http://", "https://")):
        raise BadSettings(f"{variable}: a node URL must be http:// or https:// with a host")
    return url


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    bare = name.removeprefix(PREFIX)
    if bare in known:
        close = [bare]
    return f"; did you mean {close[0]}?" if close else ""


def _sentence(where: tuple[int | str, ...], message: str) -> str:
    field = str(where[0]) if where else ""
    names = {
        name: row.variable for name, row in zip(Settings.model_fields, describe(), strict=True)
    }
    what = message.removeprefix("Value error, ")
    return f"{names.get(field, field)}: {what}" if field else what


def _type_name(name: str, annotation: Any) -> str:
    if name.endswith("_json"):
        return "JSON"
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list"
    words = {bool: "true or false", int: "integer", float: "number", Path: "path"}
    inner = (
        annotation,
        *get_args(annotation),
        *(a for b in get_args(annotation) for a in get_args(b)),
    )
    return next((words[a] for a in inner if a in words), "text")


def _kept_secret(path: Path, variable: str) -> bytes:
    """Contents of `path`, at random if missing. Processes that start together get one secret."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}")  # ours alone
            with os.fdopen(
                os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(secrets.token_hex(32))
            with suppress(FileExistsError):  # whoever is first gives the secret
                path.hardlink_to(scratch)
            scratch.unlink()
        kept = path.read_bytes()
    except OSError as exc:
        raise BadSettings(
            f"cannot keep a secret in {path.parent} ({exc.strerror}): "
            f"set {variable} or RENOWN_DATA_DIR"
        ) from exc
    if len(kept) < 16:
        raise BadSettings(f"{path} is damaged: remove it, or set {variable}")
    return kept
