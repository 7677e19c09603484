"""``make bench``: this proxy and a real Envoy with the same plan, side by side in one run.

Only ratios travel between machines. The first figure is always the CPU time of the proxy's process (user and system)
for one unit of work: it is the least noisy.
"""
