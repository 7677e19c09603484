"""Which listener, chain, virtual host, route and endpoint: indexed tables, and the same rules written plainly."""
