"""`python -m mingmu` is `mingmu`."""

from __future__ import annotations

from mingmu.cli import main

if __name__ == "__main__":
    main()
