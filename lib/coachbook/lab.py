"""JupyterLab on a workspace."""

from __future__ import annotations

import os

from coachbook.settings import Workspace


def open_lab(workspace: Workspace, *, browser: bool = True) -> None:
    """Open JupyterLab with the workspace as its root, on this computer only; returns when it is closed."""
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

    workspace.notebooks.mkdir(exist_ok=True)
    os.chdir(workspace.folder)
    options = [f"--ServerApp.root_dir={workspace.folder}", "--ip=127.0.0.1", "--log-level=WARN"]
    if not browser:
        options.append("--no-browser")
    if os.geteuid() == 0:
        options.append("--allow-root")
    LabApp.launch_instance(options)
