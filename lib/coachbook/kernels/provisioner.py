"""The kernel provisioner: forks where that is safe, launches where it is not, and says which."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import List, Unicode

from coachbook.kernels import warm
from coachbook.kernels.child import LAUNCHER
from coachbook.kernels.client import PromptClient
from coachbook.kernels.warm import Forked, Kind, Unavailable

Started = Literal["forked", "launched"]
_KILLED_SECONDS = 5.0
_said: set[str] = set()


class ForkProvisioner(LocalProvisioner):
    """Kernels forked from a warm parent; named `warm-fork` in the metadata of a kernel spec."""

    imports = List(Unicode(), help="Modules that the parent imports before it forks.").tag(config=True)
    how: Started = "launched"

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Sockets in a folder instead of ports, for which many kernels that start at once would race."""
        manager: Any = self.parent
        if manager is not None and warm.SUPPORTED and manager.transport == "tcp" and not manager.shell_port:
            manager.transport = "ipc"
            manager.ip = str(warm.folder() / token_hex(4))
            manager.cache_ports = False
        if manager is not None and manager.client_factory is AsyncKernelClient:
            manager.client_factory = PromptClient
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork, or where that cannot be, launch as ever and say so once."""
        try:
            forked = await asyncio.to_thread(self._forked, cmd, kwargs)
        except (Unavailable, OSError) as problem:
            self.how = "launched"
            self._say_once(f"Kernels are launched, not forked: {problem}")
            return await super().launch_kernel(cmd, **kwargs)
        self.how = "forked"
        if forked.failed:
            self._say_once(f"Not imported before kernels are forked: {', '.join(forked.failed)}")
        self.process = forked  # type: ignore[assignment]
        self.pid = self.pgid = forked.pid
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """To the kernel and what it started, while it lives; the parent has reaped it then, and its number may be another's."""
        if not (isinstance(self.process, Forked) and self.process.poll() is not None):
            await super().send_signal(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - jupyter_client's interface
        """End it at once; when this returns it has ended, so nobody needs to look again every 0.1 s."""
        process = self.process
        await super().kill(restart)
        if isinstance(process, Forked):
            with_patience = asyncio.to_thread(process.wait, _KILLED_SECONDS)
            try:
                await with_patience
            except subprocess.TimeoutExpired:
                self.log.warning("The kernel %s does not end.", process.pid)

    def _say_once(self, text: str) -> None:
        if text not in _said:
            _said.add(text)
            self.log.warning(text)

    def _forked(self, cmd: list[str], kwargs: dict[str, Any]) -> Forked:
        interpreter, *rest = map(os.path.expanduser, cmd)
        if not warm.SUPPORTED:
            raise Unavailable("this system has no safe fork")
        if rest[:2] != ["-m", LAUNCHER]:
            raise Unavailable(f"only `python -m {LAUNCHER}` can be forked, not `{' '.join(rest[:2])}`")
        environment = {**kwargs["env"], "JPY_PARENT_PID": str(os.getpid())}
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            null = nothing.fileno()
            streams = [
                _descriptor(kwargs.get(name), default, null)
                for name, default in (("stdin", null), ("stdout", 1), ("stderr", 2))
            ]
            return warm.fork(
                Kind.of(interpreter, self.imports, environment),
                {"argv": rest[2:], "cwd": str(kwargs.get("cwd") or Path.cwd()), "env": environment},
                streams,
            )


def _descriptor(stream: Any, default: int, null: int) -> int:
    """As `subprocess.Popen` takes streams, but for pipes, which a forked kernel cannot have."""
    if stream is None:
        return default
    if stream == subprocess.DEVNULL:
        return null
    if stream in (subprocess.PIPE, subprocess.STDOUT):
        raise Unavailable("its streams are asked for as pipes")
    return stream if isinstance(stream, int) else int(stream.fileno())


def kind(kernel: str, environment: Mapping[str, str]) -> Kind:
    """What a parent must be warm for, to fork kernels of that name with that environment."""
    spec = KernelSpecManager().get_kernel_spec(kernel)
    config = spec.metadata["kernel_provisioner"]["config"]
    return Kind.of(sys.executable, config["imports"], environment)


def how(manager: Any) -> Started:
    """How the kernel of a kernel manager came to be."""
    return getattr(manager.provisioner, "how", "launched")
