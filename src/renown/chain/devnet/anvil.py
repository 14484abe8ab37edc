"""Find anvil, run it, and never leave it behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import renown
from renown.chain.devnet.addresses import CHAIN_ID
from renown.chain.rpc import Node
from renown.errors import NodeError, SetupError, ToolMissing
from renown.spec.deployments import DEVNET_FINAL_BLOCKS

BLOCK_GAS = 4_000_000_000
"""Far above a public chain's, so that hundreds of transactions fit one block."""

START_SECONDS = 30.0
STOP_SECONDS = 20.0  # it may have a large state to write

_PACKAGE = "@foundry-rs/anvil-{system}-{machine}"


def find_anvil(override: Path | None = None) -> Path:
    """The anvil program: `override`, else on PATH, else in a checkout's `contracts/node_modules`.

    Raises:
        ToolMissing: none there; the message holds the command that gets it.
    """
    if override is not None:
        if not os.access(override, os.X_OK):
            raise ToolMissing(f"{override} is not a program; name the anvil binary itself")
        return override
    if on_path := shutil.which("anvil"):
        return Path(on_path)
    for folder in _checkouts():
        program = folder / "contracts" / "node_modules" / _package() / "bin" / "anvil"
        if os.access(program, os.X_OK):
            return program
    raise ToolMissing(
        f"anvil is not installed: run `npm ci` in the checkout's contracts folder, or "
        f"`npm install --prefix ~/.local/share/renown {_package()}@1.7.1` and put its bin folder "
        f"on PATH, or install Foundry"
    )


class Anvil:
    """A running anvil: `async with Anvil() as anvil: ... anvil.url`.

    Args:
        port: where to listen; None takes a free one.
        host: address to listen on. Anvil gives away funds and obeys everyone: keep it local.
        binary: the program, when `find_anvil` should not look for it.
        state: file the chain is loaded from, when it exists, and written to on a clean stop.
        load_state: file the chain is only loaded from. Not with `state`.
        genesis_time_seconds: Unix time of block 0; None is now. It does not count where a state is
            loaded: anvil would go on from that time, behind the blocks there are.
        options: further command-line options.

    Raises (on entry):
        ToolMissing: no anvil.
        SetupError: the port is taken, or anvil did not come up; the message quotes it.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        binary: Path | None = None,
        state: Path | None = None,
        load_state: Path | None = None,
        genesis_time_seconds: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        if state is not None and load_state is not None:
            raise SetupError("give anvil a state to keep or a state to load, not both")
        self.host = host
        self.port = port or 0
        self._wanted_port = port
        self._binary = binary
        self._options = list(options)
        if state is not None:
            self._options += ["--state", str(state)]
        if load_state is not None:
            self._options += ["--load-state", str(load_state)]
        loaded = load_state or state
        if genesis_time_seconds is not None and not (loaded and loaded.exists()):
            self._options += ["--timestamp", str(genesis_time_seconds)]
        self._process: asyncio.subprocess.Process | None = None
        self._complaints: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its JSON-RPC answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it was not started."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        program = find_anvil(self._binary)
        attempts = 1 if self._wanted_port else 5  # a free port may be gone before anvil has it
        for attempt in range(attempts):
            self.port = self._wanted_port or _free_port(self.host)
            if self._wanted_port and not _is_free(self.host, self.port):
                raise SetupError(f"port {self.port} on {self.host} is in use; choose another")
            await self._start(program)
            try:
                await self._wait_until_ready()
                return self
            except SetupError:
                await self.stop()
                if attempt + 1 == attempts:
                    raise
            except BaseException:
                await self.stop()
                raise
        raise AssertionError("unreachable")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def wait(self) -> int:
        """Until it ends, by itself or stopped; its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and wait; it writes its state first where it has one to keep. Safe to repeat."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    async def _start(self, program: Path) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = await asyncio.create_subprocess_exec(
            program,
            "--quiet",
            *("--host", self.host),
            *("--port", str(self.port)),
            *("--chain-id", str(CHAIN_ID)),
            *("--order", "fifo"),
            *("--gas-limit", str(BLOCK_GAS)),
            # `finalized` is two epochs below the head.
            *("--slots-in-an-epoch", str(DEVNET_FINAL_BLOCKS // 2)),
            "--no-request-size-limit",
            *self._options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._complaints,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, then its turn
            preexec_fn=_die_with_parent(),
        )

    async def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None
        node = Node(self.url, deadline_seconds=2.0)
        give_up_at = time.monotonic() + START_SECONDS
        try:
            while process.returncode is None and time.monotonic() < give_up_at:
                try:
                    found = int(await node.call("eth_chainId", [], str), 16)
                except NodeError:
                    await asyncio.sleep(0.02)
                    continue
                if process.returncode is None and found == CHAIN_ID:
                    return
                raise SetupError(f"another node answers on port {self.port}")
        finally:
            await node.close()
        said = self._said()
        raise SetupError(f"anvil did not start: {said or 'it says nothing'}")

    def _said(self) -> str:
        if self._complaints is None:
            return ""
        self._complaints.seek(0)
        text = self._complaints.read(4000).decode(errors="replace")
        return " ".join(text.split())[:600]


def _package() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return _PACKAGE.format(system=sys.platform, machine=machine)


def _checkouts() -> list[Path]:
    source = Path(renown.__file__).resolve().parents[2]  # editable install: src/renown/__init__.py
    return [source, Path.cwd(), *Path.cwd().parents]


def _free_port(host: str) -> int:
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> Callable[[], None] | None:
    """Linux ends the child with us, even when we are killed; elsewhere `stop` has to do."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # found before the fork, where little is safe
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # we died in between
            os._exit(1)

    return ask_the_kernel
