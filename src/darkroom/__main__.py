"""`python -m darkroom` is `darkroom`."""

import sys

from darkroom.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
