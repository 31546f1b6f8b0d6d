"""A certificate for 127.0.0.1, and the authority that signed it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import need_program


@dataclass(frozen=True)
class Certificate:
    """Files."""

    authority: Path
    certificate: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    authority, key, request, certificate = (folder / name for name in ("ca.pem", "key.pem", "csr.pem", "cert.pem"))
    openssl = need_program("openssl")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    addition = ["-addext", "subjectAltName=IP:127.0.0.1"]
    sign = ["-CA", authority, "-CAkey", folder / "ca.key", "-CAcreateserial", "-copy_extensions", "copy"]
    for command in (
        ["req", "-x509", *new_key, "-keyout", folder / "ca.key", "-out", authority, "-subj", "/CN=test authority"],
        ["req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1", *addition],
        ["x509", "-req", "-in", request, *sign, "-out", certificate],
    ):
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    return Certificate(authority, certificate, key)
