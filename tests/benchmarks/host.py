"""A whole host read: 2,000 files of nginx with 4,000 server blocks, then a handshake for each of them."""

import sys
from pathlib import Path

from tests.benchmarks.contenders import CHECKOUT, Bed
from tests.benchmarks.measure import Sample, Series, measure
from tests.benchmarks.scenarios import Result, Row, Turns
from tests.servers.certificates import ServerRoot
from tests.servers.own_host import emptied, own_host
from tests.servers.process import Process

FILES, BLOCKS = 2000, 4000
READING, MEMORY, LOOKING = 2.0, 60.0, 8.0  # seconds, megabytes, seconds
_READ = (
    "from renewer.servers import catalogue; from renewer.servers.reading import Guard\n"
    "with Guard() as guard: assert len(catalogue.uses(guard, [])) == %d"
)


def host(bed: Bed, turns: Turns) -> Result:
    """The files alone; what lies in them, too; and all ports asked. Nobody else's ports are there."""
    scratch = bed.directory / "host"
    scratch.mkdir()
    many = max(turns.many, 3)
    with own_host(scratch):
        emptied()
        _write(Path("/etc/nginx"))
        read = _series(many, "-c", _READ % BLOCKS)
        files = _series(many, "-m", "renewer", "discover", "--json")
        nginx = Process(["nginx", "-g", "daemon off;"], log=scratch / "nginx.log")
        try:
            nginx.wait_for_port(443)
            ports = _series(many, "-m", "renewer", "discover", "--json")
        finally:
            nginx.stop()
    looked = ports.best - files.best
    return Result(
        [
            _row(f"{BLOCKS:,} server blocks of {FILES:,} files read", read, READING),
            Row(
                "its peak memory", f"{read.memory:.0f} MB", "", "", f"≤ {MEMORY:g} MB", read.memory <= MEMORY
            ),
            Row(f"`discover`, their {BLOCKS:,} certificates read, too", str(files)),
            Row(f"`discover`, {BLOCKS:,} handshakes more", str(ports)),
            Row("the handshakes alone", f"{looked:.3g} s", "", "", f"≤ {LOOKING:g} s", looked <= LOOKING),
            Row("its peak memory", f"{ports.memory:.0f} MB"),
        ]
    )


def _row(measured: str, series: Series, goal: float) -> Row:
    return Row(measured, str(series), "", "", f"≤ {goal:g} s", series.best <= goal)


def _series(times: int, *arguments: str) -> Series:
    def once() -> Sample:
        return measure([sys.executable, *arguments], cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)})

    return Series(tuple(once() for _ in range(times)))


def _write(home: Path) -> None:
    """Each block has a certificate in a file of its own, though all are the same one."""
    root, sites, tls = ServerRoot(), home / "conf.d", home / "tls"
    pair = root.issue(tls, "*.example.org", stem="wild")
    chain = pair.cert.read_bytes()
    for number in range(BLOCKS):
        (tls / f"{number}.pem").write_bytes(chain)
    sites.mkdir(exist_ok=True)
    for number in range(0, BLOCKS, BLOCKS // FILES):
        (sites / f"{number:04}.conf").write_text(
            "".join(_BLOCK.format(number=one, home=home, key=pair.key) for one in (number, number + 1))
        )
    more = "server_names_hash_max_size 16384; server_names_hash_bucket_size 128;"
    (home / "nginx.conf").write_text(
        f"user root; worker_processes 2; pid /run/nginx.pid;\nevents {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; {more} include {sites}/*.conf; }}\n"
    )


_BLOCK = """\
server {{
    listen 443 ssl;
    server_name n{number}.example.org www.n{number}.example.org;
    ssl_certificate {home}/tls/{number}.pem;
    ssl_certificate_key {key};
    root /var/www/n{number};
    access_log /var/log/nginx/n{number}.log;
    add_header Strict-Transport-Security "max-age=31536000" always;
    location / {{
        try_files $uri $uri/ =404;
    }}
    location ~ \\.php$ {{
        include /etc/nginx/fastcgi_params;
        fastcgi_pass unix:/run/php/php-fpm.sock;
    }}
}}
"""
