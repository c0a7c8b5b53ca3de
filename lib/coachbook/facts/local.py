"""Workers of this machine for the shards of a large company."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Executor, ProcessPoolExecutor


def workers() -> Executor:
    """One process per core, each born when there is work for it; a context manager, as every executor."""
    return ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
