"""`python -m agentzero`: the command line."""

from __future__ import annotations

from agentzero.cli import main

if __name__ == "__main__":
    main()
