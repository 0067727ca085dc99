"""The real command, in a world whose name servers listen at another port: agent PORT GRACE args…."""

import sys

from renewer.cli.app import main
from renewer.network.dns import propagation, zones

if __name__ == "__main__":
    zones.PORT = int(sys.argv.pop(1))
    propagation.GRACE = float(sys.argv.pop(1))
    main()
