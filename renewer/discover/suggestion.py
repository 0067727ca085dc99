"""Configuration for what was found: what nobody renews as certificates, what others renew as watches."""

import json
import re
from collections.abc import Iterator

from renewer import words
from renewer.model.installed import Discovery, HostCertificate

_HOOKS = {"nginx", "apache", "haproxy", "postfix", "dovecot", "postgresql", "exim", "lighttpd", "prosody"}


def toml(found: Discovery) -> str:
    """TOML to be added to the configuration, with where each was found."""
    taken: set[str] = set()
    blocks = []
    for one in found.certificates:
        if one.keeper is not None and one.keeper.client == "renewer":
            continue
        table = _certificate if one.keeper is None and _is_public(one) and one.uses else _watch
        lines = list(table(one, _name(one, taken)))
        if lines:
            how = (f"# {words.line(place)}" for place in one.how[:5])
            blocks.append("\n".join((*how, *lines)))
    return "\n\n".join(blocks)


def watches(found: Discovery) -> str:
    """TOML of a watch for each certificate that others renew or nobody does."""
    taken: set[str] = set()
    blocks = []
    for one in found.certificates:
        if one.keeper is None or one.keeper.client != "renewer":
            lines = list(_watch(one, _name(one, taken)))
            if lines:
                blocks.append("\n".join((*(f"# {words.line(place)}" for place in one.how[:5]), *lines)))
    return "\n\n".join(blocks)


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


def _watch(one: HostCertificate, name: str) -> Iterator[str]:
    file = next((file.path for file in one.files if not file.path.endswith(".json")), None)
    if file is not None:
        yield f"[watch.{name}]"
        yield f"file = {_text(file)}"
        return
    for port in one.ports[:1]:
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.address, port.address)  # noqa: S104
        endpoint = {"host": address, "port": port.port, "server_name": port.server_name or address}
        if port.starttls:
            endpoint["starttls"] = port.starttls.value
        inside = ", ".join(f"{key} = {_text(value)}" for key, value in endpoint.items())
        yield f"[watch.{name}]"
        yield f"endpoint = {{ {inside} }}"
        yield 'roots = "any"'


def _is_public(one: HostCertificate) -> bool:
    """Whether a public authority could issue for its names."""
    names = [str(name) for name in one.leaf.names]
    return bool(names) and all("." in name and not name.endswith((".local", ".internal")) for name in names)


def _name(one: HostCertificate, taken: set[str]) -> str:
    first = str(one.leaf.names[0]) if one.leaf.names else f"serial-{one.leaf.serial}"
    plain = re.sub(r"[^a-z0-9_-]+", "-", first.lower().replace("*", "wildcard")).strip("-_")[:50] or "unnamed"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name


def _text(value: object) -> str:
    """A value as TOML, of which JSON's strings, numbers and lists are a part."""
    return json.dumps(words.whole(value) if isinstance(value, str) else value, ensure_ascii=True)
