"""What a killed run may have left in a zone: on record before it is there, and read back without trust."""

import base64
import hashlib
import re

from renewer import clock
from renewer.model.dns_provider import TxtRecord
from renewer.model.facts import Debris
from renewer.model.value import Value

DEBRIS = "dns-01 record"  # Debris.what; `where` is 'NAME TXT VALUE', `detail` words like zone=…, then why
_WHERE = re.compile(r"([a-z0-9_.-]{1,253}) TXT ([A-Za-z0-9_-]{43})")  # a SHA-256 as base64url, nothing else
_NAME = re.compile(r"[a-z0-9_.-]{0,253}")
_WORD = re.compile(r"(zone|provider|asked|domain|token|answer)=([A-Za-z0-9_.-]*)")


class Leftover(Value):
    """A record of an earlier run, who published it, and the zone that it was put into."""

    provider: str
    zone: str
    record: TxtRecord


def of(record: TxtRecord, zone: str, provider: str, certificate: str, *, why: str = "") -> Debris:
    """What is left if nobody removes the record."""
    words = {
        "zone": zone,
        "provider": provider,
        "asked": record.asked,
        "domain": record.domain,
        "token": record.token,
        "answer": record.key_authorization,
    }
    detail = " ".join(f"{key}={value}" for key, value in words.items())
    return Debris(
        certificate=certificate,
        what=DEBRIS,
        where=f"{record.name} TXT {record.value}",
        at=clock.now(),
        detail=f"{detail}: {why}" if why else detail,
    )


def read(debris: Debris) -> Leftover | None:
    """The record, if it has the form of ours; anything else is left alone."""
    where = _WHERE.fullmatch(debris.where)
    words: dict[str, str] = dict(_WORD.findall(debris.detail.partition(": ")[0]))
    zone, provider = words.get("zone", ""), words.get("provider", "")
    if debris.what != DEBRIS or where is None or not provider or not _NAME.fullmatch(zone):
        return None
    name = where[1]
    if zone and name != zone and not name.endswith(f".{zone}"):
        return None
    answer = words.get("answer", "")
    record = TxtRecord(
        name=name,
        value=where[2],
        asked=words.get("asked", name),
        domain=words.get("domain", ""),
        token=words.get("token", ""),
        key_authorization=answer if digest(answer) == where[2] else "",
    )
    return Leftover(provider=provider, zone=zone, record=record)


def digest(key_authorization: str) -> str:
    """RFC 8555 §8.4: the base64url of the SHA-256 of the key authorization."""
    found = hashlib.sha256(key_authorization.encode()).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
