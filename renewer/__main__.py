"""`python -m renewer`."""

from renewer.cli.app import main

main()
