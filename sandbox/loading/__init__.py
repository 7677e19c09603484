"""From the files that a user names to plans: ``load`` for a run, ``read_configuration`` for a look at them."""

from sandbox.loading.configuration import read_configuration
from sandbox.loading.load import Loaded, load, load_workload

__all__ = ["Loaded", "load", "load_workload", "read_configuration"]
