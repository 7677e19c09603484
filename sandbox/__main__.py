"""``python -m sandbox`` is ``egress``."""

from sandbox.cli.main import main

if __name__ == "__main__":
    main()
