"""What is measured, and what is asked of it. Each scenario returns rows for the table."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from renewer.config.load import load
from renewer.context import Context
from renewer.model.facts import Record, VersionFacts, Window
from tests.benchmarks.contenders import AcmeTiny, Bed, Certbot, Lego, Renewer
from tests.benchmarks.measure import BenchmarkFailedError, Sample, Series, interleave, seconds

THOUSAND = 1000
FIFTY = 50
CEILING = (150, 210)  # orders a second of Pebble on two cores with a minimal client
HEAVY = ("acme", "requests", "dns", "rich", "jinja2", "cryptography", "ssl")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a measure of ours, of a peer, and the goal if there is one."""

    measure: str
    ours: str
    peer: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """How often each contender runs."""

    single: int = 9
    idle: int = 15
    thousand: int = 5
    many: int = 5
    certbot_many: int = 2


@dataclass(slots=True)
class Result:
    """Rows, and sentences that belong to them."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def single(bed: Bed, turns: Turns) -> Result:
    """One issuance by webroot, the whole process; both have their account already."""
    ours, certbot = Renewer(bed, "single"), Certbot(bed, "single-certbot")
    ours.configure(["first"])
    ours.run()
    certbot.certonly("first")

    def issue(turn: int) -> Sample:
        ours.configure([f"s{turn}"])
        return _issuing(bed, 1, ours.run)

    found = interleave(
        {"ours": issue, "certbot": lambda turn: _issuing(bed, 1, lambda: certbot.certonly(f"s{turn}"))},
        turns.single,
    )
    return Result([_against("one issuance, webroot", found["ours"], "certbot", found["certbot"], 1 / 5)])


def idle(bed: Bed, turns: Turns) -> Result:
    """Nothing due: one certificate; then with its port looked at as well."""
    result = Result()
    ours, certbot = Renewer(bed, "idle"), Certbot(bed, "idle-certbot")
    ours.configure(["c0"])
    ours.run()
    certbot.certonly("c0")
    _serve(bed, ours, "c0", ["c0.example.org"])
    found = _quietly(bed, ours, certbot, turns.idle)
    result.rows += _idle_rows("1 certificate", found["ours"], found["certbot"], 1 / 2)
    _imports(result, ours, certbot)
    ours.configure(["c0"], endpoints=[f'{{ host = "127.0.0.1", port = {bed.nginx.port} }}'])
    looked = _quietly(bed, ours, None, turns.idle)["ours"]
    result.rows.append(_beside("the same, its port looked at", looked, found["certbot"]))
    return result


def thousand(bed: Bed, turns: Turns) -> Result:
    """Nothing due for a thousand certificates; then with a thousand ports looked at as well.

    All are clones of one certificate for four names, so that with 250 addresses there are a thousand
    endpoints of it.
    """
    result = Result()
    ours, certbot = Renewer(bed, "thousand"), Certbot(bed, "thousand-certbot")
    hosts = [f"n{number}.example.org" for number in range(4)]
    ours.configure(["c0"], names=hosts)
    ours.run()
    certbot.certonly("c0", hosts)
    names = [f"c{number}" for number in range(THOUSAND)]
    clone_ours(ours, names)
    certbot.clone("c0", names[1:])
    addresses = [f"127.0.1.{number}" for number in range(1, THOUSAND // len(hosts) + 1)]
    _serve(bed, ours, "c0", hosts, addresses)
    ours.configure(names, names=hosts)
    found = _quietly(bed, ours, certbot, turns.thousand)
    result.rows += _idle_rows(f"{THOUSAND:,} certificates", found["ours"], found["certbot"], 1 / 15)
    endpoints = [
        f'{{ host = "{address}", port = {bed.nginx.port}, server_name = "{host}" }}'
        for address in addresses
        for host in hosts
    ]
    ours.configure(names, names=hosts, endpoints=endpoints)
    looked = _quietly(bed, ours, None, turns.thousand)["ours"]
    result.rows.append(_beside(f"the same, {THOUSAND:,} ports looked at", looked, found["certbot"]))
    return result


def many(bed: Bed, turns: Turns) -> Result:
    """Fifty certificates renewed by one process, beside others who take a process each."""
    result = Result()
    names = [f"m{number}" for number in range(FIFTY)]
    ours, certbot = Renewer(bed, "many"), Certbot(bed, "many-certbot")
    lego, tiny = Lego(bed), AcmeTiny(bed)
    ours.configure(names)
    ours.run()
    tiny.prepare(names)
    tiny.many(names[:1], 1)
    requests: list[int] = []

    def renew(_: int) -> Sample:
        mark = bed.pebble.mark()
        sample = _issuing(bed, FIFTY, lambda: ours.run("--force", "--all"))
        requests.append(len(bed.pebble.requests(mark)))
        return sample

    contenders = {
        "ours": renew,
        "acme-tiny -P8": lambda _: _issuing(bed, FIFTY, lambda: tiny.many(names, 8)),
    }
    if lego.installed:
        lego.register()
        contenders["lego -P50"] = lambda turn: _issuing(
            bed, FIFTY, lambda: lego.many([f"{name}-l{turn}" for name in names], FIFTY)
        )
    else:
        result.notes.append("lego was not to be had on this machine")
    found = interleave(contenders, turns.many, notes=result.notes)

    for name in names:
        certbot.certonly(name)
    slow = interleave(
        {"certbot": lambda _: _issuing(bed, FIFTY, lambda: certbot.renew("--force-renewal"))},
        turns.certbot_many,
    )
    mine = found.pop("ours")
    result.rows.append(_against(f"{FIFTY} due", mine, "certbot renew", slow["certbot"], 1 / 40))
    fastest = min(found, key=lambda name: found[name].best, default="")
    for name, series in found.items():
        goal = 1 / 3 if name == fastest else None
        result.rows.append(_against(f"{FIFTY} due", mine, name, series, goal))
    if "acme-tiny -P8" in found:
        result.rows.append(_cpu("CPU an order", mine, found["acme-tiny -P8"], "acme-tiny"))
    result.rows.append(Row("peak memory", f"{mine.memory:.0f} MB"))
    result.rows.append(Row("requests an order", f"{sum(requests) / len(requests) / FIFTY:.2f}"))
    result.rows.append(Row("orders a second", f"{FIFTY / mine.best:.0f}"))
    low, high = (100 * FIFTY / mine.best / ceiling for ceiling in reversed(CEILING))
    result.notes.append(
        f"fifty at once reach {low:.0f} to {high:.0f} % of the {CEILING[0]} to {CEILING[1]} orders a second "
        "that Pebble gives on two cores to a client that does nothing else; the rest goes to starting up, to "
        "a key and a CSR each, to what is made durable before each step, and to the cores that Pebble needs"
    )
    return result


def _serve(bed: Bed, ours: Renewer, name: str, hosts: Sequence[str], addresses: Sequence[str] = ()) -> None:
    """Let nginx serve a certificate of ours, at more addresses than its own if need be."""
    live = ours.state / "certificates" / name / "live"
    pair = (live / "fullchain.pem", live / "privkey.pem")
    bed.nginx.sites = {hosts[0]: pair}
    if addresses:
        listen = "\n".join(f"listen {address}:{bed.nginx.port} ssl;" for address in addresses)
        files = f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};"
        bed.nginx.extra = (f"server {{ {listen} {files} return 200; }}",)
    bed.nginx.write_config()
    bed.nginx.reload()


def _quietly(bed: Bed, ours: Renewer, certbot: Certbot | None, times: int) -> dict[str, Series]:
    """Runs in which nothing is due. The first is not counted: it reads what later ones remember."""

    def quiet(_: int) -> Sample:
        return _issuing(bed, 0, ours.run)

    contenders = {"ours": quiet}
    quiet(0)
    if certbot is not None:
        renew = certbot.renew
        renew()
        contenders["certbot"] = lambda _: _issuing(bed, 0, renew)
    return interleave(contenders, times)


def clone_ours(ours: Renewer, names: list[str]) -> None:
    """Make many certificates out of the first: their files, and what the ledger knows of them."""
    source, *others = names
    certificates = ours.state / "certificates"
    for name in others:
        shutil.copytree(certificates / source, certificates / name, symlinks=True)
    with Context(load(str(ours.config)), write=True) as context:
        known: list[Record] = [
            *context.ledger.load(VersionFacts, source),
            *context.ledger.load(Window, source),
        ]
        context.ledger.save(
            *[msgspec.structs.replace(record, certificate=name) for name in others for record in known]
        )


def _issuing(bed: Bed, count: int, run: Callable[[], Sample]) -> Sample:
    """A sample that counts only if exactly so many certificates were issued meanwhile."""
    mark = bed.pebble.mark()
    sample = run()
    if (issued := bed.issued(mark)) != count:
        raise BenchmarkFailedError(f"{issued} certificates were issued, not {count}")
    return sample


def _against(what: str, ours: Series, name: str, theirs: Series, goal: float | None) -> Row:
    ratio = ours.best / theirs.best
    return Row(
        measure=what,
        ours=str(ours),
        peer=f"{name}: {theirs}",
        ratio=_fraction(ratio),
        goal=f"≤ {_fraction(goal)}" if goal else "",
        met=ratio <= goal if goal else None,
    )


def _idle_rows(what: str, ours: Series, theirs: Series, goal: float) -> list[Row]:
    return [
        _against(f"nothing due, {what}", ours, "certbot renew", theirs, goal),
        Row(
            measure="  its peak memory",
            ours=f"{ours.memory:.0f} MB",
            peer=f"certbot renew: {theirs.memory:.0f} MB",
            ratio=_fraction(ours.memory / theirs.memory),
            goal="below",
            met=ours.memory < theirs.memory,
        ),
    ]


def _beside(what: str, ours: Series, theirs: Series) -> Row:
    return Row(f"  {what}", str(ours), "(certbot does not look)", _fraction(ours.best / theirs.best))


def _cpu(what: str, ours: Series, theirs: Series, name: str) -> Row:
    mine, other = ours.cpu / FIFTY, theirs.cpu / FIFTY
    return Row(what, seconds(mine), f"{name}: {seconds(other)}", _fraction(mine / other))


def _imports(result: Result, ours: Renewer, certbot: Certbot) -> None:
    mine, took = ours.import_list()
    theirs, their_time = certbot.import_list()
    heavy = sorted({name.partition(".")[0] for name in mine} & set(HEAVY))
    result.rows.append(
        Row(
            measure="  modules imported",
            ours=f"{len(mine)} in {seconds(took)}",
            peer=f"certbot renew: {len(theirs)} in {seconds(their_time)}",
            ratio=_fraction(len(mine) / len(theirs)),
            goal="none heavy",
            met=not heavy,
        )
    )
    if heavy:
        result.notes.append(f"imported though nothing was due: {', '.join(heavy)}")


def _fraction(ratio: float) -> str:
    """Small ratios as people say them: 1/5."""
    return f"1/{1 / ratio:.3g}" if ratio < 1 else f"{ratio:.2f}"


def rows_of(results: Iterable[Result]) -> list[Row]:
    """All rows, in order."""
    return [row for result in results for row in result.rows]
