"""The command ``egress``: one module per subcommand, imported only when it is called."""
