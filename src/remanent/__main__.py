"""`python -m remanent`."""

import sys

from remanent.cli import main

sys.exit(main())
