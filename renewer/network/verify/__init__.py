"""Looks at the real ports: what is served there, at every address, by TLS and STARTTLS handshakes.

`look` sees each address once; `settle` waits until a reload has reached every process of a server. What was
seen comes back as facts (`Sight`); what they mean is `policy.serving`'s to say.
"""

from renewer.network.verify.settle import settle, settle_all
from renewer.network.verify.sight import ANY, Sight, Target, Trouble, look

__all__ = ["ANY", "Sight", "Target", "Trouble", "look", "settle", "settle_all"]
