"""What is told of certificates, for tests that change a part of it or look into it by its keys."""

from datetime import datetime
from typing import Any

import msgspec

from renewer.model.status import CertificateStatus, Status


def plain(document: object) -> Any:
    """A document as its JSON has it, but with moments as moments."""
    return _listed(msgspec.to_builtins(document, builtin_types=(datetime,)))


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def with_first(status: Status, **changes: Any) -> Status:
    """The same with something else said of its first certificate."""
    first = msgspec.structs.replace(status.certificates[0], **changes)
    return msgspec.structs.replace(status, certificates=(first, *status.certificates[1:]))


def row_of(status: Status, name: str) -> CertificateStatus:
    """What it says of one certificate."""
    return next(one for one in status.certificates if one.name == name)
