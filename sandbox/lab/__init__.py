"""The embedded internet: a few well-known hosts on loopback, so that every example works offline.

``hosts`` is the table of names; ``httpbin``, ``sites`` and ``tcp_servers`` are what answers; ``internet`` binds it all.
"""
