"""What is published of a version, in one directory: source, wheel, Debian package, its parts, and digests.

    python packaging/release.py WHEELS OUT

The list of what the package holds is CycloneDX 1.5 (ECMA-424): each part with version, licence and the digest
of the wheel that it was taken from. Two releases of one commit are the same to the octet.
"""

import hashlib
import json
import os
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path
from typing import Any

import deb  # beside this script

SBOM = "renewer.cdx.json"
SUMS = "SHA256SUMS"


def main(argv: list[str]) -> int:
    """Make them; the exit code."""
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    for path in release(Path(argv[0]), Path(argv[1])):
        print(path)
    return 0


def release(wheels: Path, out: Path, compression: str = "xz") -> list[Path]:
    """All of it; what was made."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(deb.epoch())}
    subprocess.run(command, check=True, cwd=deb.CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    package = deb.build(wheels, out, deb.version(), compression)
    (out / SBOM).write_text(json.dumps(sbom(wheels), indent=1, sort_keys=True) + "\n", "utf-8")
    name = f"renewer-{deb.version()}"
    made = [out / f"{name}.tar.gz", out / f"{name}-py3-none-any.whl", package, out / SBOM]
    sums = "".join(f"{_digest(path)}  {path.name}\n" for path in sorted(made, key=lambda path: path.name))
    (out / SUMS).write_text(sums, "utf-8")
    return [*made, out / SUMS]


def sbom(wheels: Path) -> dict[str, Any]:
    """What the Debian package holds, as CycloneDX has it."""
    moment = datetime.fromtimestamp(deb.epoch(), UTC)
    parts = sorted(_parts(wheels), key=lambda part: (part["name"], part["version"]))
    known = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, known)}",
        "version": 1,
        "metadata": {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "component": {
                "type": "application",
                "bom-ref": "renewer",
                "name": "renewer",
                "version": deb.version(),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": "renewer", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _parts(wheels: Path) -> Iterator[dict[str, Any]]:
    """Each locked wheel once, with the digests of those for each Python."""
    found: dict[str, dict[str, Any]] = {}
    for wheel in sorted(path for python in deb.PYTHONS for path in (wheels / python).iterdir()):
        told = _metadata(wheel)
        name, version = str(told["Name"]).lower().replace("_", "-"), str(told["Version"])
        ref = f"pkg:pypi/{name}@{version}"
        part = found.setdefault(
            ref,
            {
                "type": "library",
                "bom-ref": ref,
                "purl": ref,
                "name": name,
                "version": version,
                "licenses": _licences(told),
                "hashes": [],
            },
        )
        one = {"alg": "SHA-256", "content": _digest(wheel)}
        if one not in part["hashes"]:
            part["hashes"].append(one)
    yield from found.values()


def _licences(told: Any) -> list[dict[str, Any]]:
    if expression := told.get("License-Expression"):
        return [{"expression": str(expression)}]
    lines = map(str, told.get_all("Classifier", ()))
    classified = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License")]
    name = classified[0] if classified else (str(told.get("License") or "").splitlines() or ["not said"])[0]
    return [{"license": {"name": name}}]


def _metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return BytesParser(policy=compat32).parsebytes(archive.read(name))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
