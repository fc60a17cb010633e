"""`python -m darkroom` is the same as `darkroom`."""

import sys

from darkroom.cli.main import main

sys.exit(main())
