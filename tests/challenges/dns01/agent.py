"""The real command, in a world whose name servers listen at another port: agent PORT GRACE args…."""

import sys

from renewer.cli.app import main
from renewer.network.dns import messages

if __name__ == "__main__":
    messages.PORT = int(sys.argv.pop(1))
    messages.GRACE = float(sys.argv.pop(1))
    main()
