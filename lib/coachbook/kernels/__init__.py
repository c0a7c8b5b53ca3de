"""Warm-fork kernels: a parent that has imported everything forks a kernel in hundredths of a second."""

from coachbook.kernels.provisioner import ForkProvisioner, how, kind
from coachbook.kernels.warm import Address, Unavailable, borrow, folder, lend

__all__ = ["Address", "ForkProvisioner", "Unavailable", "borrow", "folder", "how", "kind", "lend"]
