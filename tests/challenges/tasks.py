"""Tasks to be answered, as an authority would give them."""

from renewer.model.names import Identifier
from renewer.model.solver import Task

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"  # RFC 8555 §8.3's example
THUMBPRINT = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"


def task(token: str = TOKEN, *, certificate: str = "www", name: str = "127.0.0.1") -> Task:
    """A challenge of HTTP-01 with the key authorization of RFC 8555 §8.1."""
    return Task(
        certificate=certificate,
        identifier=Identifier.parse(name),
        type="http-01",
        token=token,
        key_authorization=f"{token}.{THUMBPRINT}",
    )
