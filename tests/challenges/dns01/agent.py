"""The real command, in a world whose name servers listen at another port: agent PORT GRACE args…."""

import sys

from renewer.challenges.dns01 import propagation, zones
from renewer.cli.app import main

if __name__ == "__main__":
    zones.PORT = int(sys.argv.pop(1))
    propagation.GRACE = float(sys.argv.pop(1))
    main()
