"""Capture on this machine: namespaces for programs, redirect rules for containers."""
