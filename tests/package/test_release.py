"""What is published, and the ways to install that are not the Debian package: pipx, a container, Ansible."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from renewer.cli import docs
from renewer.cli.app import group
from tests.package.debian import CHECKOUT, LIMIT, TREES, Debian, fresh, mount, script

PACKAGING = CHECKOUT / "packaging"


def test_digests_cover_all_that_is_published(release: Path) -> None:
    """`sha256sum -c SHA256SUMS` is content, and no file is left out."""
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=release, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    named = {line.split()[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert named == {path.name for path in release.iterdir()} - {"SHA256SUMS"}
    assert [path.suffix for path in sorted(release.iterdir())].count(".deb") == 1


def test_the_list_of_parts_is_that_of_the_package(release: Path) -> None:
    """Every locked dependency with version, licence and the digest of a wheel that was taken."""
    document = json.loads((release / "renewer.cdx.json").read_text())
    parts = {part["name"]: part for part in document["components"]}
    text = (PACKAGING / "requirements.txt").read_text("utf-8")
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))

    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert {name: part["version"] for name, part in parts.items()} == pins
    for part in parts.values():
        assert part["licenses"][0] != {"license": {"name": "not said"}}, part
        for one in part["hashes"]:
            assert f"sha256:{one['content']}" in text
    wheel = next((TREES / "wheels" / "3.11").glob("click-*"))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in json.dumps(parts["click"])


def test_wheel_and_source_carry_the_same(release: Path) -> None:
    """Man pages, completions, documentation, hooks, snippets and monitoring are in both."""
    wheel = zipfile.ZipFile(next(release.glob("*.whl"))).namelist()
    with tarfile.open(next(release.glob("*.tar.gz"))) as archive:
        source = archive.getnames()

    for place in ("share/man/man1/renewer-run.1", "share/man/man5/renewer.toml.5"):
        assert any(name.endswith(f"data/{place}") for name in wheel)
        assert any(name.endswith(f"made/{place}") for name in source)
    for shell, place in script("manual").COMPLETIONS:
        assert any(name.endswith(place) for name in wheel), shell
        assert any(name.endswith(place) for name in source), shell
    for room in ("docs", "hooks", "snippets", "monitoring"):
        files = {path.name for path in (CHECKOUT / room).rglob("*") if path.is_file()}
        assert files <= {Path(name).name for name in wheel if f"/shipped_{room}/" in name}, room
        assert files <= {Path(name).name for name in source}, room


def test_pipx_installs_it_and_it_says_what_is_missing(
    release: Path, tmp_path: Path, builder: ModuleType
) -> None:
    """From the wheel, offline; the program runs, its man pages are found, and what may be added is told."""
    assert builder.PYTHONS[0] == "3.11"
    environment = {
        "PATH": f"{CHECKOUT}/.venv/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{TREES}/wheels/{sys.version_info[0]}.{sys.version_info[1]} {TREES}/pip",
        "LC_ALL": "C.UTF-8",
    }
    pipx = [sys.executable, "-m", "pipx", "install", "--python", sys.executable]
    done = subprocess.run(
        [*pipx, str(next(release.glob("*.whl")))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    program = tmp_path / "bin" / "renewer"
    said = [
        subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
        for words in (["--version"], ["extras"], ["--config", str(tmp_path / "none.toml"), "config", "check"])
    ]
    assert (tmp_path / "man" / "man1" / "renewer-run.1").exists()
    assert said[0].returncode == 0
    assert "pipx inject renewer 'apprise>=1.9'" in said[1].stdout
    assert said[2].returncode == 2
    assert "does not exist" in said[2].stderr


def test_what_may_be_added_is_told_for_each_way_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is that of the installation: the package's own place, or the environment's pip."""
    said = CliRunner().invoke(group, ["extras", "--json"]).stdout
    rows = {row["name"]: row for row in json.loads(said)["extras"]}
    assert rows["apprise"]["installed"] is True
    assert set(rows) == {"apprise", "fleet", "lexicon"}
    assert "-m pip install" in rows["lexicon"]["command"]
    monkeypatch.setattr(sys, "prefix", docs.PACKAGED)
    assert f"--target {docs.ADDED}/python" in docs.how("x")


def test_the_project_and_the_command_name_the_same_extras() -> None:
    """What pyproject.toml calls an extra is what the command lists."""
    text = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    for name, extra in docs.EXTRAS.items():
        assert f'{name} = ["{extra.requirement}"]' in text


# --- a container ------------------------------------------------------------------------------------------

_APT = """\
#!/bin/sh
# What a build asks of the network is not asked here: all that is needed lies in this tree.
if [ "$1" = update ]; then exit 0; fi
exec /usr/bin/apt-get -o Acquire::http::Proxy=http://127.0.0.1:9 "$@"
"""


def test_the_containerfile_builds_and_runs(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """Its steps in a fresh Debian, one after the other; then its entry point, as nothing is configured."""
    text = (PACKAGING / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    assert [step for step, _ in steps] == ["FROM", "COPY", "RUN", "VOLUME", "ENTRYPOINT", "CMD"]
    said = dict(steps)
    with fresh("13", tmp_path) as debian:
        source, target = said["COPY"].split()
        assert Path("dist", packages[1].name).match(source)
        debian.path(target).write_bytes(packages[1].read_bytes())
        shim = debian.path("/usr/local/bin/apt-get")
        shim.write_text(_APT)
        shim.chmod(0o755)
        debian.run("env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", said["RUN"])
        assert debian.path(said["VOLUME"]).is_dir()
        words = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
        assert "nothing" in debian.run(*words)


# --- Ansible ----------------------------------------------------------------------------------------------

_SHELL = """\
#!/bin/sh
# The host of the play: Ansible's local connection calls its shell, and this one stands in the tree.
exec chroot {root} /bin/sh "$@"
"""
_CONFIG = '[defaults]\nauthority = "letsencrypt"\ncontact = ["a@example.org"]\nagree_terms = true\n'


def _play(
    tmp_path: Path, debian: Debian, deb: Path, config: str, *more: str
) -> "subprocess.CompletedProcess[str]":
    shell = tmp_path / "shell"
    shell.write_text(_SHELL.format(root=shlex.quote(str(debian.root))))
    shell.chmod(0o755)
    shared = tmp_path / "shared"
    inside = debian.path(str(shared))
    if not shared.exists():
        shared.mkdir()
        inside.mkdir(parents=True)
        mount("--bind", str(shared), str(inside))
    variables = {
        "renewer_deb": str(deb),
        "renewer_config": config,
        "renewer_become": False,
        "ansible_connection": "local",
        "ansible_shell_executable": "/bin/sh",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return subprocess.run(
        [
            "ansible-playbook",
            "-i",
            "localhost,",
            "-e",
            json.dumps(variables),
            *more,
            str(PACKAGING / "ansible/site.yml"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_EXECUTABLE": str(shell),
            "ANSIBLE_REMOTE_TMP": str(shared),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def test_the_role_installs_and_configures(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """In a fresh Debian: installed, configured; again nothing changes; a faulty configuration is refused."""
    with fresh("12", tmp_path) as debian:
        checked = _play(tmp_path, debian, packages[1], _CONFIG, "--syntax-check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        first = _play(tmp_path, debian, packages[1], _CONFIG)
        assert (first.returncode, "failed=0" in first.stdout) == (0, True), first.stdout + first.stderr
        assert debian.path("/etc/renewer/config.toml").read_text() == _CONFIG
        assert debian.path("/etc/renewer/config.toml").stat().st_mode & 0o777 == 0o600
        assert "renewer 0." in debian.run("renewer", "--version")
        again = _play(tmp_path, debian, packages[1], _CONFIG)
        assert "changed=0" in again.stdout, again.stdout
        faulty = _play(tmp_path, debian, packages[1], _CONFIG + "authorty = 1\n")
        assert faulty.returncode != 0
        assert "authorty" in faulty.stdout
        assert debian.path("/etc/renewer/config.toml").read_text() == _CONFIG
