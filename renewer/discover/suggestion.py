"""Configuration for what was found: what nobody renews as certificates, what others renew as watches."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from renewer import words
from renewer.model.desired import Watch
from renewer.model.installed import Discovery, HostCertificate
from renewer.model.served import Endpoint
from renewer.moving.naming import table_name

_HOOKS = {"nginx", "apache", "haproxy", "postfix", "dovecot", "postgresql", "exim", "lighttpd", "prosody"}


def toml(found: Discovery) -> str:
    """TOML to be added to the configuration, with where each was found."""
    taken: set[str] = set()
    blocks = []
    for one in found.certificates:
        if one.keeper is not None and one.keeper.client == "renewer":
            continue
        if one.keeper is None and _is_public(one) and one.uses:
            blocks.append(_block(one, _certificate(one, _name(one, taken))))
        elif watch := watched(one):
            blocks.append(_block(one, _watch(watch, _name(one, taken))))
    return "\n\n".join(blocks)


def watches(
    found: Discovery, known: Mapping[str, str], taken: Collection[str], others: Collection[str]
) -> dict[str, str]:
    """The table of a watch for each certificate that we do not renew, by its name.

    A target of `known` keeps its name there, no other is one of those `taken`; what is one of the targets
    `others` is left out.
    """
    names = {*taken, *known.values()}
    tables: dict[str, str] = {}
    for one in found.certificates:
        watch = watched(one) if one.keeper is None or one.keeper.client != "renewer" else None
        if watch and watch.target not in others:
            name = known.get(watch.target) or _name(one, names)
            tables.setdefault(name, _block(one, _watch(watch, name)))
    return tables


def _block(one: HostCertificate, lines: Iterable[str]) -> str:
    by = one.keeper.client if one.keeper else "nobody"
    return "\n".join((f"# renewed by {by}; {', '.join(map(words.line, one.how[:5]))}", *lines))


def _certificate(one: HostCertificate, name: str) -> Iterator[str]:
    yield f"[certificate.{name}]"
    yield f"names = {_text([str(each) for each in one.leaf.names])}"
    hooks = [use.server for use in one.uses if use.server in _HOOKS]
    if hooks:
        yield f"hooks = {_text(list(dict.fromkeys(hooks)))}"
    copies = {file.path: file.key for file in one.files if file.key}
    for path, key in copies.items():
        if key == path:
            yield f"# copies = [{{ combined = {_text(path)} }}]"
        else:
            yield f"# copies = [{{ fullchain = {_text(path)}, key = {_text(key)} }}]"


def watched(one: HostCertificate) -> Watch | None:
    """A watch, still without a name: of the port that shows it, else of the file that holds it."""
    for port in one.ports[:1]:
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.address, port.address)  # noqa: S104
        endpoint = Endpoint(
            server_name=port.server_name or next(map(str, one.leaf.names), "").replace("*", "www") or address,
            host=address,
            port=port.port,
            starttls=port.starttls,
            proxy_protocol=any(
                o.port == port.port and o.proxy_protocol for u in one.uses for o in u.openings
            ),
        )
        return Watch(name="", endpoint=endpoint, roots="any")
    file = next((file.path for file in one.files if not file.path.endswith(".json")), None)
    return Watch(name="", file=file) if file else None


def _watch(watch: Watch, name: str) -> Iterator[str]:
    yield f"[watch.{name}]"
    if watch.endpoint is None:
        yield f"file = {_text(watch.file)}"
        return
    at = watch.endpoint
    said: dict[str, object] = {"host": at.host, "port": at.port, "server_name": at.server_name}
    if at.starttls:
        said["starttls"] = at.starttls.value
    if at.proxy_protocol:
        said["proxy_protocol"] = True
    yield f"endpoint = {{ {', '.join(f'{key} = {_text(value)}' for key, value in said.items())} }}"
    yield 'roots = "any"'


def _is_public(one: HostCertificate) -> bool:
    """Whether a public authority could issue for its names."""
    names = [str(name) for name in one.leaf.names]
    return bool(names) and all("." in name and not name.endswith((".local", ".internal")) for name in names)


def _name(one: HostCertificate, taken: set[str]) -> str:
    first = str(one.leaf.names[0]) if one.leaf.names else f"serial-{one.leaf.serial}"
    name = table_name(first.replace(".", "-"), taken)
    taken.add(name)
    return name


def _text(value: object) -> str:
    """A value as TOML, of which JSON's strings, numbers and lists are a part."""
    return json.dumps(words.whole(value) if isinstance(value, str) else value, ensure_ascii=True)
