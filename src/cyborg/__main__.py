"""`python -m cyborg`: the same as the `cyborg` command."""

from cyborg.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
