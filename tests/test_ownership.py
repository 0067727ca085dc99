import os
import subprocess
import sys
from pathlib import Path

import pytest

from renewer import ownership

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in two directories of its own."""
    path = tmp_path / "one" / "two" / "file"
    path.parent.mkdir(parents=True, mode=0o755)
    path.touch(mode=0o644)
    return path


def text(path: Path) -> str:
    """What is said of a path; nothing if it is safe."""
    found = ownership.danger(str(path))
    return found.text if found else ""


def test_what_only_we_can_write_is_safe(file: Path) -> None:
    """Our own file in our own directories is trusted, below a sticky /tmp as well."""
    assert text(file) == ""


@pytest.mark.parametrize(("mode", "who"), [(0o664, "the group"), (0o646, "everybody"), (0o666, "everybody")])
def test_a_file_that_others_can_write(file: Path, mode: int, who: str) -> None:
    """A file writable by others is refused, with what to do."""
    file.chmod(mode)

    found = ownership.danger(str(file))

    assert found is not None
    assert f"{file} can be written to by {who}" in found.text
    assert found.hint == f"chmod go-w {file}"


@pytest.mark.parametrize("above", [0, 1])
def test_a_directory_that_others_can_write(file: Path, above: int) -> None:
    """Every directory on the way counts, not the nearest alone."""
    file.parents[above].chmod(0o777)

    assert text(file) == f"{file.parents[above]} can be written to by everybody"


def test_a_sticky_directory_keeps_what_is_ours(file: Path) -> None:
    """In a directory like /tmp nobody can replace a file of ours."""
    file.parent.chmod(0o1777)

    assert text(file) == ""


@ROOT_ONLY
def test_somebody_elses(file: Path) -> None:
    """A file or directory of another user is that user's to change."""
    os.chown(file, 65534, -1)
    assert text(file) == f"{file} belongs to nobody, who could change it"
    os.chown(file, 0, -1)
    os.chown(file.parent, 12345, -1)
    assert text(file) == f"{file.parent} belongs to user 12345, who could change it"


def test_links_are_followed_to_their_end(file: Path, tmp_path: Path) -> None:
    """A link is as safe as all that it leads through."""
    link = tmp_path / "link"
    link.symlink_to("one/../one/two/./file")
    assert text(link) == ""
    file.parent.chmod(0o777)
    assert text(link) == f"{file.parent} can be written to by everybody"


@ROOT_ONLY
def test_a_strangers_link_in_a_sticky_directory(file: Path, tmp_path: Path) -> None:
    """Where anybody may make links, one of a stranger's is not followed."""
    common = tmp_path / "common"
    common.mkdir()
    common.chmod(0o1777)
    (common / "link").symlink_to(file)
    assert text(common / "link") == ""
    os.chown(common / "link", 65534, -1, follow_symlinks=False)
    assert "belongs to nobody" in text(common / "link")


def test_links_in_a_circle(tmp_path: Path) -> None:
    """A circle of links ends in words, not in a loop."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert "too many symbolic links" in text(tmp_path / "a")


def test_what_is_not_there(tmp_path: Path) -> None:
    """A missing file is the caller's to tell of."""
    with pytest.raises(FileNotFoundError):
        ownership.danger(str(tmp_path / "gone"))


def test_a_relative_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is looked at from where we are."""
    monkeypatch.chdir(file.parent)
    file.chmod(0o666)

    assert text(Path("file")).startswith(f"{file} can be written")


SWAP = """
import os
while True:
    os.symlink("real", "link")
    os.rename("link", "place")
    os.unlink("place")
    os.mkdir("place")
    os.rmdir("place")
"""


@pytest.mark.slow
def test_links_that_are_swapped_meanwhile(tmp_path: Path) -> None:
    """Whoever puts a directory and a link in each other's place makes no look at it fail."""
    (tmp_path / "real").mkdir()
    below = tmp_path / "place" / "below"
    with subprocess.Popen([sys.executable, "-c", SWAP], cwd=tmp_path) as swapping:
        try:
            seen = {ownership.resolved(str(below)) for _ in range(20_000)}
        finally:
            swapping.kill()
    assert seen <= {str(tmp_path / "real" / "below"), str(below)}
