"""JupyterLab on a workspace."""

from __future__ import annotations

import os

from coachbook import catalogue, kernels
from coachbook.settings import Workspace


def open_lab(workspace: Workspace, *, browser: bool = True) -> None:
    """Open JupyterLab with the workspace as its root, on this computer only; returns when it is closed."""
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

    workspace.notebooks.mkdir(exist_ok=True)
    os.chdir(workspace.folder)
    warm = kernels.kind(catalogue.KERNEL, os.environ)
    kernels.lend(warm)  # warms up while Lab does
    options = [
        f"--ServerApp.root_dir={workspace.folder}", "--ip=127.0.0.1", "--log-level=WARN",
        "--KernelProvisionerFactory.default_provisioner_name=warm-fork",  # for `python3`, too, which notebooks name
        f"--ForkProvisioner.imports={list(warm.imports)}",
    ]  # fmt: skip
    if not browser:
        options.append("--no-browser")
    if os.geteuid() == 0:
        options.append("--allow-root")
    LabApp.launch_instance(options)
