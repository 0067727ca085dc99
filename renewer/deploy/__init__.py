"""The transaction: either the port shows the new certificate, or the old one is still served and told.

check ourselves → turn the links → copies → `test` of every hook → `deploy` of each → look at the ports →
record per (host, hook). Turned back only when a hook failed, or when a port that answered just before no
longer completes a handshake; and only to a version that may still be served.
"""

from renewer.deploy.transaction import run

__all__ = ["run"]
