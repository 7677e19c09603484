"""The workloads of the mesh that run in this process beside its own: each has a plan and a snapshot."""
