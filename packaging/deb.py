"""Builds the Debian package: one `.deb` that runs on Debian 12 and 13, the same octets each time.

    python packaging/deb.py lock            # what the index has now, as versions and digests
    python packaging/deb.py fetch WHEELS    # what is locked, for both Pythons, into a directory
    python packaging/deb.py build WHEELS OUT [VERSION]

The program lies in /usr/lib/renewer as a virtual environment without pip, laid out by hand: `pyvenv.cfg`
makes /usr/bin/python3, whichever it is, look for modules there and nowhere else. The trees of the two Pythons
differ only in compiled modules, whose names carry the version, so both lie in one directory and the second is
a link: an upgrade of the system finds its modules in place, and no dependency on one Python has us removed.
"""

import gzip
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGING = CHECKOUT / "packaging"
PYTHONS = ("3.11", "3.13")
"""Of Debian 12 and 13."""
_FLAVOURS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
_HOME = "usr/lib/renewer"
_SHARE = "usr/share"
_EPOCH = 1764547200  # 2025-12-01: when nobody says when; any fixed moment does


def main(argv: list[str]) -> int:
    """Do what was asked; the exit code."""
    match argv:
        case ["lock"]:
            lock()
        case ["fetch", wheels]:
            fetch(Path(wheels))
        case ["build", wheels, out, *rest]:
            print(build(Path(wheels), Path(out), rest[0] if rest else version()))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def version() -> str:
    """Of the project, as its file says."""
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _pip(*arguments: str, cwd: Path | None = None) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    subprocess.run(command, check=True, cwd=cwd, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch())})


def epoch() -> int:
    """The moment that every file of a package bears: SOURCE_DATE_EPOCH."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _EPOCH)


def _download(directory: Path, python: str, *what: str) -> None:
    abi = "cp" + python.replace(".", "")
    platforms = [word for flavour in _FLAVOURS for word in ("--platform", flavour)]
    _pip(
        *("download", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *("--abi", abi, "--abi", "abi3", "--abi", "none", *platforms, "--dest", str(directory), *what),
    )


def fetch(wheels: Path) -> None:
    """Bring what is locked for each Python. Raises CalledProcessError if a digest is another."""
    for python in PYTHONS:
        directory = wheels / python
        directory.mkdir(parents=True, exist_ok=True)
        locked = PACKAGING / "requirements.txt"
        _download(directory, python, "--no-deps", "--require-hashes", "--requirement", str(locked))


def lock() -> None:
    """Write anew which versions and digests are taken, from what the index has now."""
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["dependencies"]
    found: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as work:
        for python in PYTHONS:
            _download(Path(work, python), python, *wanted)
            for wheel in sorted(Path(work, python).iterdir()):
                name, release = wheel.name.split("-")[:2]
                pin = f"{name.replace('_', '-').lower()}=={release}"
                found.setdefault(pin, set()).add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    path = PACKAGING / "requirements.txt"
    head = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    pins = [
        " \\\n".join([pin, *(f"    --hash=sha256:{one}" for one in sorted(found[pin]))])
        for pin in sorted(found)
    ]
    path.write_text("\n".join([*head, *pins, ""]), "utf-8")


def build(wheels: Path, out: Path, release: str, compression: str = "xz") -> Path:
    """The package, from our own wheel and the locked ones in `wheels`; its path."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        root = Path(work, "root")
        _program(root, wheels, Path(work, "ours"))
        _data(root)
        _control(root, release)
        _settle(root)
        path = out.absolute() / f"renewer_{release}_amd64.deb"
        packing = [
            "--root-owner-group",
            "--threads-max=1",
            f"-Z{compression}",
        ]  # so many threads, so many blocks
        command = ["dpkg-deb", *packing, "--build", str(root), str(path)]
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch())},
        )
    return path


def _program(root: Path, wheels: Path, ours: Path) -> None:
    home = root / _HOME
    modules = home / "lib" / f"python{PYTHONS[0]}" / "site-packages"
    modules.mkdir(parents=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", "utf-8")
    for python in PYTHONS[1:]:
        (home / "lib" / f"python{python}").symlink_to(f"python{PYTHONS[0]}")
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to("/usr/bin/python3")
    start = home / "bin" / "renewer"
    shutil.copy(PACKAGING / "debian" / "renewer", start)
    start.chmod(0o755)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/renewer").symlink_to(f"/{_HOME}/bin/renewer")
    alone = ("--no-build-isolation",) if importlib.util.find_spec("hatchling") else ()
    _pip("wheel", "--no-deps", *alone, "--wheel-dir", str(ours), str(CHECKOUT))
    for wheel in [
        *ours.iterdir(),
        *(path for python in PYTHONS for path in sorted((wheels / python).iterdir())),
    ]:
        _unpack(wheel, modules)
    # What may be added by an operator (docs/operations.md): a tree for each Python, after our own modules.
    line = "import site, sys; site.addsitedir('/usr/local/lib/renewer/python%d.%d' % sys.version_info[:2])\n"
    (modules / "renewer-extras.pth").write_text(line, "utf-8")


def _unpack(wheel: Path, modules: Path) -> None:
    """Lay a wheel out. The second Python's adds its compiled modules; any other difference is refused."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            top = member.filename.split("/")[0]
            if member.is_dir() or top.endswith(".data"):
                continue
            target = modules / member.filename
            content = archive.read(member)
            told = top.endswith(".dist-info") and target.name in {"RECORD", "WHEEL"}
            if target.exists() and not told and target.read_bytes() != content:
                raise ValueError(f"{member.filename} of {wheel.name} is not the same for every Python")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            executable = bool(member.external_attr >> 16 & 0o111)
            target.chmod(0o755 if executable else 0o644)


def _data(root: Path) -> None:
    documents = root / _SHARE / "doc/renewer"
    shutil.copytree(CHECKOUT / "docs", documents / "docs")
    shutil.copytree(CHECKOUT / "monitoring", documents / "monitoring")
    for name in ("README.md", "CHANGELOG.md", "config.example.toml"):
        shutil.copy(CHECKOUT / name, documents)
    shutil.copy(CHECKOUT / "LICENSE", documents / "copyright")
    (root / "etc/renewer/conf.d").mkdir(parents=True)
    shutil.copy(PACKAGING / "debian" / "config.toml", root / "etc/renewer/config.toml")
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for name, text in _units():
        (units / name).write_text(text, "utf-8")
    import manual  # beside this script

    for place in manual.write(root / "usr"):
        path = root / "usr" / place
        if place.parts[1] == "man":  # policy wants them packed, -n as gzip says
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
    (root / _SHARE / "zsh/site-functions").rename(root / _SHARE / "zsh/vendor-completions")


def _units() -> Iterator[tuple[str, str]]:
    """The units as for a configuration that says nothing; `timer install` adds what the real one asks for."""
    from renewer.cli import units
    from renewer.config.load import load

    with tempfile.TemporaryDirectory() as work:
        path = Path(work, "config.toml")
        path.write_text("", "utf-8")
        config = load(str(path))
    text = units.service(config, [f"/{_HOME}/bin/renewer"]).replace(str(path), "/etc/renewer/config.toml")
    for name, content in (("renewer.service", text), ("renewer.timer", units.timer(config))):
        yield (
            name,
            content.replace(units.MARK, units.PACKAGED),
        )


def _control(root: Path, release: str) -> None:
    control = root / "DEBIAN"
    control.mkdir()
    size = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
    text = (PACKAGING / "debian" / "control").read_text("utf-8")
    text = text.replace("@VERSION@", release).replace("@SIZE@", str(size))
    (control / "control").write_text(text, "utf-8")
    (control / "conffiles").write_text("/etc/renewer/config.toml\n", "utf-8")
    (control / "triggers").write_text("interest-noawait /usr/bin/python3\n", "utf-8")
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(PACKAGING / "debian" / name, control)
        (control / name).chmod(0o755)
    shutil.copy(PACKAGING / "debian" / "templates", control)
    lines = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(root)}\n"
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.is_relative_to(control)
    ]
    (control / "md5sums").write_text("".join(lines), "utf-8")


def _settle(root: Path) -> None:
    """One moment and plain modes for everything: neither umask nor clock gets into the package."""
    for path in [root, *root.rglob("*")]:
        mode = path.lstat().st_mode
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
        os.utime(path, (epoch(), epoch()), follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
