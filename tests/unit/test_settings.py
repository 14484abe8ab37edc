"""Settings: what is read, what is refused, and that no secret shows."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from renown.errors import BadSettings
from renown.settings import Described, Settings, describe, load_settings
from renown.spec.deployments import find

SECRET = "hunter2hunter2hunter2"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in describe():
        monkeypatch.delenv(row.variable, raising=False)


def test_load__nothing_set__works(monkeypatch: pytest.MonkeyPatch):
    settings = load_settings()

    assert settings.chains == ("devnet",)
    assert settings.database_url is None
    assert (settings.host, settings.port) == ("127.0.0.1", 8004)


def test_load__names_operators_know__are_read(monkeypatch: pytest.MonkeyPatch):
    values = {
        "DATABASE_URL": "postgresql://u:p@h/d",
        "DATABASE_DIRECT_URL": "postgresql://u:p@direct/d",
        "DB_POOL_MIN_SIZE": "1",
        "DB_POOL_MAX_SIZE": "4",
        "DB_MAX_QUERIES": "7",
        "DB_MAX_INACTIVE_TIME": "0",
        "DB_TIMEOUT": "2.5",
        "DB_COMMAND_TIMEOUT": "3",
        "CHAIN": "base, 1",
        "RENOWN_PG_STATEMENT_CACHE": "0",
        "RENOWN_LOG_FORMAT": "json",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@h/d"
    assert settings.database_direct_url is not None
    assert (settings.db_pool_min_size, settings.db_pool_max_size) == (1, 4)
    assert (settings.db_timeout, settings.db_max_inactive_time) == (2.5, 0)
    assert settings.chains == ("base", "1")
    assert settings.pg_statement_cache == 0
    assert settings.log_format == "json"


def test_load__empty_variable__counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("CHAIN", "")

    assert load_settings().database_url is None
    assert load_settings().chains == ("devnet",)


def test_load__given_arguments__win_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RENOWN_PORT", "1")

    assert load_settings(port=2, host=None).port == 2


def test_settings__are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RENOWN_PROT", "1", "RENOWN_PROT: no such setting; did you mean RENOWN_PORT?"),
        ("RENOWN_CHAIN", "base", "RENOWN_CHAIN: no such setting; did you mean CHAIN?"),
        ("RENOWN_ZZZ", "1", "RENOWN_ZZZ: no such setting"),
        ("RENOWN_PORT", "70000", "RENOWN_PORT: Input should be less than or equal to 65535"),
        ("CHAIN", "bsae", "CHAIN: no deployment is called 'bsae'; did you mean base"),
        ("CHAIN", ",", "CHAIN: name at least one chain"),
        ("RENOWN_CURSOR_SECRET", "short", "RENOWN_CURSOR_SECRET: at least 16 characters"),
        ("DB_POOL_MIN_SIZE", "99", "DB_POOL_MIN_SIZE must not exceed DB_POOL_MAX_SIZE"),
        ("RPC_URL", f"wss://h/{SECRET}", "RPC_URL: a node URL must be http:// or https://"),
        ("RENOWN_RPC_URLS", f'{{"base": "https://h/{SECRET}"}}', "write a JSON object like"),
        ("RENOWN_RPC_URLS", f"https://h/{SECRET}", "RENOWN_RPC_URLS: write a JSON object like"),
        ("RENOWN_RPC_URLS", f'{{"bsae": ["https://h/{SECRET}"]}}', "did you mean base"),
        ("RENOWN_RPC_URLS", f'{{"base": ["{SECRET}"]}}', "must be http:// or https://"),
        ("RENOWN_VALIDATION_CONTRACTS", '{"base": ["0x12"]}', "expected 0x and 40 hex digits"),
    ],
)
def test_load__wrong_value__says_what_and_where_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
):
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert says in caught.value.detail
    assert SECRET not in str(caught.value) + repr(caught.value.__cause__)


def test_load__several_mistakes__are_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RENOWN_PORT", "x")
    monkeypatch.setenv("RENOWN_LOG_LEVEL", "loud")
    monkeypatch.setenv("RENOWN_NOPE", "1")

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert len(caught.value.detail.splitlines()) == 3


def test_rpc_urls__both_variables__are_merged_by_chain_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHAIN", "base")
    monkeypatch.setenv("RPC_URL", "https://one/key, https://two/key")
    monkeypatch.setenv("RENOWN_RPC_URLS", '{"eip155:1": ["http://three"], "base": ["http://x"]}')

    assert load_settings().rpc_urls == {
        find("base").chain_id: ("https://one/key", "https://two/key"),
        1: ("http://three",),
    }


def test_rpc_url__several_chains__is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHAIN", "base,ethereum")
    monkeypatch.setenv("RPC_URL", "https://one/key")

    with pytest.raises(BadSettings, match="RENOWN_RPC_URLS"):
        load_settings()


def test_repr__holds_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{SECRET}@h/d")
    monkeypatch.setenv("RPC_URL", f"https://h/{SECRET}")
    monkeypatch.setenv("RENOWN_RPC_URLS", f'{{"base": ["https://h/{SECRET}"]}}')
    monkeypatch.setenv("RENOWN_CURSOR_SECRET", SECRET)
    settings = load_settings()
    assert settings.rpc_urls, "even after they were read"

    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"

    assert SECRET not in shown


def test_validation_error__made_by_hand__hides_what_was_given():
    with pytest.raises(ValidationError) as caught:
        Settings(rpc_urls_json=[SECRET])  # type: ignore[arg-type]

    assert SECRET not in str(caught.value)


def test_cursor_key__another_process_was_quicker__takes_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cursor-secret").write_text(SECRET)
    monkeypatch.setattr(Path, "exists", lambda _: False)

    assert load_settings(data_dir=tmp_path).cursor_key() == SECRET.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["cursor-secret"]


def test_cursor_key__not_set__is_made_once_and_kept(tmp_path: Path):
    settings = load_settings(data_dir=tmp_path / "new")
    keys: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: keys.append(settings.cursor_key())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    kept = tmp_path / "new" / "cursor-secret"
    assert set(keys) == {kept.read_bytes()}
    assert len(keys[0]) == 64
    assert kept.stat().st_mode & 0o777 == 0o600
    assert load_settings(data_dir=tmp_path / "other").cursor_key() != keys[0]


def test_cursor_key__folder_cannot_be_made__says_what_to_set(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSettings, match="RENOWN_CURSOR_SECRET or RENOWN_DATA_DIR"):
        load_settings(data_dir=tmp_path / "file" / "below").cursor_key()


@pytest.mark.parametrize(
    ("uid", "xdg", "expected"),
    [
        (0, "", "/var/lib/renown"),
        (0, "/x", "/var/lib/renown"),
        (1000, "/x", "/x/renown"),
        (1000, "relative", "~/.local/share/renown"),
        (1000, "", "~/.local/share/renown"),
    ],
)
def test_data_dir__by_default__is_never_in_roots_home(
    monkeypatch: pytest.MonkeyPatch, uid: int, xdg: str, expected: str
):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_DATA_HOME", xdg)

    assert load_settings().data_dir == Path(expected).expanduser()


def test_describe__every_setting__has_words_and_secrets_are_marked():
    rows = {row.variable: row for row in describe()}

    assert len(rows) == len(Settings.model_fields)
    assert all(row.description.endswith(".") for row in rows.values())
    assert {row.variable for row in rows.values() if row.secret} == {
        "DATABASE_URL",
        "DATABASE_DIRECT_URL",
        "DATABASE_REPLICA_URL",
        "RENOWN_AUDIT_KEY",
        "RENOWN_TRACES_URL",
        "RPC_URL",
        "RENOWN_RPC_URLS",
        "RENOWN_CURSOR_SECRET",
        "REDIS_URL",
        "RENOWN_KEY_PEPPER",
        "RENOWN_SIGNER_URL",
        "RENOWN_API_KEY",
    }
    assert rows["CHAIN"] == Described(
        "CHAIN", "list", "devnet", rows["CHAIN"].description, secret=False
    )
    assert rows["RENOWN_LOG_FORMAT"].type == "console or json"
