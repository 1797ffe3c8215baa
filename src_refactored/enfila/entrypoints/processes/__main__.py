"""`python -m enfila.entrypoints.processes jobs:work --processes 4`."""

import sys

from enfila.entrypoints.processes.command import main

if __name__ == "__main__":
    sys.exit(main())
