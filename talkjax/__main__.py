"""`python -m talkjax` is the command `talkjax`."""

import sys

from talkjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
