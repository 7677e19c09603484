"""Bytes into values and back: first bytes, ClientHello, PROXY header, HTTP/1, HTTP/2; no sockets, no clock."""
