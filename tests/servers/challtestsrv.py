"""pebble-challtestsrv: the DNS that Pebble asks, with every record the test's to set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import requests

from .loopback import ask
from .ports import free_port, release
from .process import Process
from .programs import installed_pebble


class ChallTestSrv:
    """A DNS server that answers 127.0.0.1 for every name until told otherwise; its records are set by HTTP.

    Names may be given without the trailing dot.
    """

    def __init__(self, workdir: Path, *, default_ipv4: str = "127.0.0.1", default_ipv6: str = "") -> None:
        """Prepare it; `start` starts it. Logs to `workdir`/challtestsrv.log."""
        self._workdir = workdir
        self._default_ipv4 = default_ipv4
        self._default_ipv6 = default_ipv6
        self.port = free_port()
        self.management_port = free_port()
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """HOST:PORT of the DNS service, for UDP and TCP."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self._process is not None and self._process.alive

    def start(self) -> Self:
        """Start it and return when it answers on both ports."""
        self._workdir.mkdir(parents=True, exist_ok=True)
        program = installed_pebble()
        # The flag had another name before Pebble 2.5.
        dns_flag = "-dnsserver" if program.recent else "-dns01"
        no_doh = ["-doh", ""] if program.recent else []
        self._process = Process(
            [
                program.challtestsrv,
                *(dns_flag, self.address),
                *("-management", f"127.0.0.1:{self.management_port}"),
                *("-defaultIPv4", self._default_ipv4),
                *("-defaultIPv6", self._default_ipv6),
                # It can also answer challenges itself; here the agent under test does.
                *("-http01", "", "-https01", "", "-tlsalpn01", ""),
                *no_doh,
            ],
            log=self._workdir / "challtestsrv.log",
        )
        self._process.wait_for_port(self.management_port)
        self._process.wait_for_port(self.port)
        return self

    def stop(self) -> None:
        """End it and give its ports back."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        release(self.port, self.management_port)

    def kill(self) -> None:
        """End it at once: lookups then fail as when a DNS server is gone."""
        if self._process is not None:
            self._process.kill()

    # --- records ------------------------------------------------------------------------------------------

    def add_a(self, host: str, *addresses: str) -> None:
        """Answer these IPv4 addresses for `host` instead of the default."""
        self.command("add-a", host=_dotted(host), addresses=list(addresses))

    def clear_a(self, host: str) -> None:
        """Answer the default again for `host`."""
        self.command("clear-a", host=_dotted(host))

    def add_aaaa(self, host: str, *addresses: str) -> None:
        """Answer these IPv6 addresses for `host`."""
        self.command("add-aaaa", host=_dotted(host), addresses=list(addresses))

    def clear_aaaa(self, host: str) -> None:
        """Answer the default again for `host`."""
        self.command("clear-aaaa", host=_dotted(host))

    def set_default_ipv4(self, address: str) -> None:
        """Answer this address for every name without one of its own; an empty one answers nothing."""
        self.command("set-default-ipv4", ip=address)

    def set_txt(self, host: str, value: str) -> None:
        """Add a TXT value to those of `host` (challtestsrv adds, whatever the verb says)."""
        self.command("set-txt", host=_dotted(host), value=value)

    def clear_txt(self, host: str) -> None:
        """Remove every TXT value of `host`."""
        self.command("clear-txt", host=_dotted(host))

    def set_cname(self, host: str, target: str) -> None:
        """Make `host` an alias of `target`."""
        self.command("set-cname", host=_dotted(host), target=_dotted(target))

    def clear_cname(self, host: str) -> None:
        """Remove the alias."""
        self.command("clear-cname", host=_dotted(host))

    def add_caa(self, host: str, *policies: tuple[str, str]) -> None:
        """Add CAA records as (tag, value)."""
        records = [{"tag": tag, "value": value} for tag, value in policies]
        self.command("add-caa", host=_dotted(host), policies=records)

    def clear_caa(self, host: str) -> None:
        """Remove the CAA records of `host`."""
        self.command("clear-caa", host=_dotted(host))

    def set_servfail(self, host: str) -> None:
        """Answer SERVFAIL for `host`, as a broken zone does."""
        self.command("set-servfail", host=_dotted(host))

    def clear_servfail(self, host: str) -> None:
        """Answer `host` as before."""
        self.command("clear-servfail", host=_dotted(host))

    def dns_requests(self, host: str) -> Sequence[dict[str, Any]]:
        """The questions asked about `host` so far."""
        history = self.command("dns-request-history", host=host.rstrip(".")).json()
        return history if isinstance(history, list) else []

    def clear_dns_requests(self, host: str) -> None:
        """Forget the questions asked about `host`."""
        self.command("clear-request-history", host=host.rstrip("."), type="dns")

    def command(self, verb: str, **body: Any) -> requests.Response:
        """Send any verb of the management interface."""
        return ask("POST", f"http://127.0.0.1:{self.management_port}/{verb}", json=body)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _dotted(host: str) -> str:
    return host if host.endswith(".") else f"{host}."
