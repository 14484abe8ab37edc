"""A certificate authority for tests, made by openssl."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

from tests.needs import need_program

_CONFIG = """
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = Test
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = optional
[host]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:${ENV::HOST}
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Keeps its files in `folder`. Skips the test where openssl is missing."""

    def __init__(self, folder: Path) -> None:
        self._openssl = need_program("openssl", "install openssl")
        self._folder = folder
        (folder / "config").write_text(_CONFIG)
        (folder / "index.txt").touch()
        self._run("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self._folder / "ca.pem"))

    def issue(self, host: str, *, expired: bool = False) -> Path:
        """A file with the certificate and key of `host`."""
        dates = ["-days", "1"]
        if expired:
            dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
        self._run("req", "-new", *_NEW_KEY, "-keyout", "host.key", "-out", "host.csr")
        self._run(
            *("ca", "-batch", "-notext", "-keyfile", "ca.key", "-cert", "ca.pem", *dates),
            *("-extensions", "host", "-in", "host.csr", "-out", "host.pem"),
            host=host,
        )
        both = self._folder / f"{host}{'.expired' if expired else ''}.pem"
        both.write_bytes(
            b"".join((self._folder / f"host.{n}").read_bytes() for n in ("pem", "key"))
        )
        return both

    def _run(self, *arguments: str, host: str = "unused") -> None:
        subprocess.run(
            [str(self._openssl), *arguments[:1], "-config", "config", *arguments[1:]],
            cwd=self._folder,
            env=os.environ | {"HOST": host},
            check=True,
            capture_output=True,
        )
