#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Build the contracts and write their ABI and bytecode into the package.

    contracts/export.py            build, then write src/renown/spec/artifacts/*.json
    contracts/export.py --check    build, then fail (exit 1) where the committed files differ

Each file holds `name`, `abi`, `bytecode` (creation), `deployedBytecode` (runtime), `placeable`
and `compiler`. Only a `placeable` contract's runtime is complete without its constructor, so only
that may be put at an address with `anvil_setCode`; the others have immutables and must be
deployed.

The build is clean and leaves the tests out: solc's Yul pipeline lets the other files of a run
influence the bytecode, so the same set of files must go in each time. Python's standard library
is enough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parent
ARTIFACTS = CONTRACTS.parent / "src" / "renown" / "spec" / "artifacts"
FORGE = CONTRACTS / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"

#: artifact file -> (Solidity file, contract)
EXPORTED = {
    "identity_registry.json": ("IdentityRegistry.sol", "IdentityRegistry"),
    "reputation_registry.json": ("ReputationRegistry.sol", "ReputationRegistry"),
    "validation_registry.json": ("ValidationRegistry.sol", "ValidationRegistry"),
    "erc1967_proxy.json": ("ERC1967Proxy.sol", "ERC1967Proxy"),
    "uups_placeholder.json": ("UUPSPlaceholder.sol", "UUPSPlaceholder"),
    "smart_wallet.json": ("SmartWallet.sol", "SmartWallet"),
    "reentrant_registrant.json": ("ReentrantRegistrant.sol", "ReentrantRegistrant"),
    "dev_dollar.json": ("DevDollar.sol", "DevDollar"),
    "wallet_proof.json": ("WalletProof.sol", "WalletProof"),
}


class ExportError(Exception):
    """The build gave nothing that can be exported."""


def build(out: Path) -> None:
    """Compile all of `src`, afresh, into `out`."""
    if not FORGE.exists():
        raise ExportError(f"{FORGE} is missing: run `npm ci` in {CONTRACTS}")
    command = [FORGE, "build", "--force", "--quiet", "--skip", "test"]
    where = ["--out", out, "--cache-path", out / "cache"]
    env = {**os.environ, "FOUNDRY_SOLC": str(CONTRACTS / "solc-shim"), "FOUNDRY_PROFILE": "default"}
    done = subprocess.run([*command, *where], cwd=CONTRACTS, env=env, check=False)
    if done.returncode != 0:
        raise ExportError(f"forge build failed with {done.returncode}")


def artifact(out: Path, source: str, name: str) -> str:
    """The text of one artifact file."""
    built = json.loads((out / source / f"{name}.json").read_text(encoding="utf-8"))
    settings = built["metadata"]["settings"]
    content = {
        "name": name,
        "abi": built["abi"],
        "bytecode": code(built, "bytecode", name),
        "deployedBytecode": code(built, "deployedBytecode", name),
        "placeable": not built["deployedBytecode"].get("immutableReferences"),
        "compiler": {
            "version": built["metadata"]["compiler"]["version"],
            "evmVersion": settings["evmVersion"],
            "viaIR": settings.get("viaIR", False),
            "optimizer": settings["optimizer"],
            "bytecodeHash": settings["metadata"]["bytecodeHash"],
            "source": next(iter(settings["compilationTarget"])),
        },
    }
    return json.dumps(content, indent=2) + "\n"


def code(built: dict, kind: str, name: str) -> str:
    """One bytecode as 0x-prefixed hex; never empty, never unlinked."""
    value = built[kind]["object"]
    try:
        size = len(bytes.fromhex(value.removeprefix("0x")))
    except ValueError:
        raise ExportError(f"{name}: {kind} has unlinked libraries") from None
    if size == 0:
        raise ExportError(f"{name}: {kind} is empty")
    return value


def write(fresh: dict[str, str]) -> int:
    """Replace the committed artifacts; each file in one step, as others may be reading it."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for file, text in fresh.items():
        target = ARTIFACTS / file
        partial = target.with_suffix(".json.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
        print(f"wrote {target.relative_to(CONTRACTS.parent)}")
    return 0


def check(fresh: dict[str, str]) -> int:
    """Compare the committed artifacts with the fresh build."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in ARTIFACTS.glob("*.json")}
    stale = sorted(
        file for file in fresh.keys() | committed.keys() if fresh.get(file) != committed.get(file)
    )
    for file in stale:
        what = (
            "differs"
            if file in fresh and file in committed
            else "missing"
            if file in fresh
            else "unknown"
        )
        print(f"{what}: {file}", file=sys.stderr)
    if stale:
        print("run contracts/export.py and commit what it writes", file=sys.stderr)
        return 1
    print(f"{len(fresh)} artifacts are up to date")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Export ABI and bytecode of the contracts.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="renown-contracts-") as folder:
            out = Path(folder)
            build(out)
            fresh = {file: artifact(out, *contract) for file, contract in EXPORTED.items()}
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return check(fresh) if args.check else write(fresh)


if __name__ == "__main__":
    sys.exit(main())
