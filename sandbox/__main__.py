"""``python -m sandbox`` is ``egress``."""

from sandbox.cli.entry import main

if __name__ == "__main__":
    main()
