"""The real command, in a world whose name servers listen at another port; as a program: PORT GRACE args…."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from renewer.cli.app import main
from renewer.network.dns import messages


@contextmanager
def elsewhere(port: str, grace: str) -> Iterator[None]:
    """Name servers listen at this port, and resolvers have so many seconds more."""
    messages.PORT, messages.GRACE = int(port), float(grace)
    yield


if __name__ == "__main__":
    with elsewhere(sys.argv.pop(1), sys.argv.pop(1)):
        main()
