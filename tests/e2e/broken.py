"""A site whose runs fail or are killed on the way: the same checks whatever happened."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.e2e.runner import Ran, Runner, Task
from tests.e2e.site import Site
from tests.servers.handshake import wait_until
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble

PATIENCE = 3  # runs after which everything must be well again
_numbers = count(1)


class Ground:
    """What the cases of a module share: Pebble, nginx and the process that runs the command."""

    def __init__(self, directory: Path, pebble: Pebble, nginx: Nginx, runner: Runner) -> None:
        self.directory = directory
        self.pebble = pebble
        self.nginx = nginx
        self.runner = runner

    def case(self) -> "Case":
        """A new host with a certificate of its own name, and nothing but the placeholder."""
        number = next(_numbers)
        directory = self.directory / f"case-{number}"
        site = Site(directory, self.pebble, domain=f"case-{number}.example.org", shared=self.nginx)
        copy = {"combined": directory / "copies" / "all.pem"}
        (directory / "copies").mkdir()
        site.agent["log"] = directory / "renewal.log"  # its own tests tell what a log that fails may do
        site.change(copies=[copy])
        return Case(site.start(), self.runner)


class Case:
    """One certificate's life: it is issued, then renewed, and something happens on the way."""

    def __init__(self, site: Site, runner: Runner) -> None:
        self.site = site
        self.runner = runner

    def run(self, *arguments: str, fault: str = "", at: int = 0, after: float | None = None) -> Ran:
        """One run of the command."""
        site = self.site
        ran = self.runner.run(
            Task(
                arguments=["--config", str(site.config), "run", *arguments],
                places=[str(site.state), str(site.nginx.webroot), str(site.directory / "copies")],
                state=str(site.state),
                fault=fault,
                at=at,
                after=after,
            )
        )
        assert ran.code not in (70, 99), ran.said  # a trace, or a pair that did not match
        assert "a defect of this program" not in ran.said, ran.said
        return ran

    @contextmanager
    def renewal(self, what: str, *arguments: str, faults: int = 1) -> Iterator[None]:
        """Whatever happens inside, runs afterwards make everything well, with one certificate in all."""
        mark = self.site.pebble.mark()
        yield
        self.recover(what, *arguments)
        self.demand_well(what)
        issued, orders = self.site.issued(mark), self.site.pebble.orders_created(mark)
        assert [self.site.live_serial()] == issued, f"{what}: {len(issued)} certificates"
        assert orders <= 1 + faults, f"{what}: {orders} orders for one certificate"

    def recover(self, what: str, *arguments: str) -> None:
        """Run again, with the wait after failures over, until a run says that all is well."""
        said = []
        for _ in range(PATIENCE):
            self.site.age()
            ran = self.run(*arguments)
            said.append(ran.said)
            if ran.code == 0:
                return
        raise AssertionError(f"{what}: {PATIENCE} runs, and still not well:\n" + "\n".join(said))

    def demand_well(self, what: str) -> None:
        """Served, and nothing left behind."""
        site = self.site
        key, chain = site.pair()
        # A worker of nginx that is about to end may answer a little longer
        wait_until(lambda: site.served() == site.live_serial(), what=f"{what}: the live leaf at the port")
        assert site.challenge_files() == [], f"{what}: a challenge is left"
        for left in (site.state / "tmp").iterdir():  # the next write sweeps it
            assert left.name.startswith("new-"), f"{what}: {left}"
        assert list((site.state / "certificates/www").glob("pending/*")) == [], f"{what}: an order is left"
        copied = site.directory / "copies"
        assert [path.name for path in copied.iterdir()] == ["all.pem"], f"{what}: copies"
        assert (copied / "all.pem").read_bytes() == chain + key, f"{what}: the copy"
        for path in site.directory.rglob("*"):
            if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
                assert not path.stat().st_mode & 0o077, f"{what}: {path}"


def every(first: int, step: int, act: Callable[[int], bool]) -> int:
    """Call `act` with first, first + step, …, until it says that there was nothing; that number."""
    number = first
    while act(number):
        number += step
        assert number < 2000, "a run without end"
    return number
