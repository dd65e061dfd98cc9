"""`python -m spikereel`: the command line."""

import sys

from spikereel.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
