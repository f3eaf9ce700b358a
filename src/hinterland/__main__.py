"""`python -m hinterland` is `hinterland`."""

import sys

from hinterland.cli import main

sys.exit(main())
