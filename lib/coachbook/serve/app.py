"""The server: Voilà with our own doors, on this computer only."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from traitlets.config import Config
from voila.app import Voila
from voila.utils import get_page_config

from coachbook import catalogue, kernels
from coachbook.catalogue import shipped
from coachbook.errors import Refused
from coachbook.serve import assets, pages
from coachbook.serve.figures import Figures
from coachbook.serve.identity import OWNER, Identity
from coachbook.serve.kernels import Channels, Leave, OwnedKernels, OwnersOnly, environment
from coachbook.serve.notebooks import for_browser, is_plain
from coachbook.settings import Workspace
from coachbook.text import N_

HOST = "127.0.0.1"
PORT = 8866
IDLE_SECONDS = 3600
"""A kernel that nobody used for so long ends; the page stays readable."""
CELL_SECONDS = 120

_STOPS = (signal.SIGINT, signal.SIGTERM)

_VOILAS_OWN = "/api/kernels/"
"""The routes of Voilà's that stay: kernels, guarded by `OwnersOnly`. No tree, no file, no query; its libraries are assets."""
_KERNEL_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"


def serve(
    workspace: Workspace,
    *,
    port: int = PORT,
    browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the workspace's pages on this computer until Ctrl-C or SIGTERM; then every kernel ends too.

    Parameters
    ----------
    port
        Where to listen; 0 takes any free port.
    browser
        Open the address in the user's browser.
    on_ready
        Called with the address to open, which works once, when the server listens.

    Raises
    ------
    Refused
        The port is in use; names a free one.
    Invalid
        `coachbook.toml` is wrong.
    """
    workspace.settings  # noqa: B018 - read now, so that what is wrong is said before anything starts
    sockets = _bound(port)
    kernels.lend(kernels.kind(catalogue.KERNEL, environment(grant="")))  # warms up while all else is set up
    app = App(workspace, sockets, browser=browser, on_ready=on_ready)
    app.initialize([])
    _log_to(workspace.store / pages.LOG)
    app.start()


def _bound(port: int) -> list[socket.socket]:
    try:
        return bind_sockets(port, HOST)
    except (OSError, OverflowError) as error:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            free = probe.getsockname()[1]
        raise Refused(
            N_("Port {port} cannot be used: {problem}. A free one is {free}: coachbook serve --port {free}"),
            port=port, problem=getattr(error, "strerror", None) or error, free=free,
        ) from None  # fmt: skip


def _log_to(path: Path) -> None:
    """Voilà's and tornado's words go to a file that only the owner reads; the terminal stays clear."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


class App(Voila):  # type: ignore[misc]
    """Voilà as coachbook needs it: somebody is always somebody, and a kernel has an owner."""

    def __init__(
        self,
        workspace: Workspace,
        sockets: list[socket.socket],
        *,
        browser: bool,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        super().__init__(log=logging.getLogger("coachbook.serve"), config=_config())
        self.workspace = workspace
        self.sockets = sockets
        self.on_ready = on_ready
        self.open_browser = browser
        self.ip = HOST
        self.port = sockets[0].getsockname()[1]
        self.root_dir = str(workspace.folder)
        self.config_file_paths: list[str] = []
        if Path("/tmp").is_dir():  # noqa: S108 - a private folder in it: names of sockets must be short
            self.connection_dir_root = "/tmp"  # noqa: S108
        self.cookie_secret = workspace.secret.encode()
        self.identity_provider_class = Identity
        self.authorizer_class = OwnersOnly
        self.tornado_settings = {
            "workspace": workspace,
            "figures": Figures(workspace),
            "allow_remote_access": False,
            "default_handler_class": pages.Nowhere,
        }

    def setup_template_dirs(self) -> None:
        """Our page before Voilà's."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(shipped("templates") / "page"))

    def init_handlers(self) -> list[Any]:
        """What of Voilà's is kept, and ours."""
        kept = [handler for handler in super().init_handlers() if handler[0].startswith(_VOILAS_OWN)]
        self.library = asyncio.ensure_future(assets.chart_library(self.workspace.store / "cache"))
        voila = {
            "template_paths": self.template_paths,
            "traitlet_config": self.config,
            "voila_configuration": self.voila_configuration,
            "page_config": self._page_config(),
        }
        without_widgets: set[str] = set()
        return [
            (rf"/api/kernels/{_KERNEL_ID}/channels", Channels),
            *kept,
            (rf"/voila/api/shutdown/{_KERNEL_ID}", Leave),
            (r"/", pages.Home),
            (r"/w/([\w-]+)", pages.Workbook, {"voila": voila, "without_widgets": without_widgets}),
            (r"/enter/([\w-]+)", pages.Enter),
            (r"/login", pages.Login),
            (rf"{assets.address()}/(.+)", assets.Asset, {"library": self.library}),
        ]

    def _page_config(self) -> dict[str, Any]:
        """What Voilà's front end is told: everything is an asset, and MathJax, asked for with every page, a stub of ours."""
        config: dict[str, Any] = get_page_config(self.base_url, {}, self.log, self.voila_configuration)
        return {
            **config,
            "fullStaticUrl": f"{assets.address()}/voila",
            "fullLabextensionsUrl": f"{assets.address()}/labextensions",
            "fullMathjaxUrl": f"{assets.address()}/mathjax.js",
        }

    def listen(self) -> None:
        """Serve until told to stop, then end what was started."""
        HTTPServer(self.app).add_sockets(self.sockets)
        self.ioloop = IOLoop.current()
        self.ioloop.add_callback(self._ready)
        # Heard between two steps of the loop: an interrupt raised inside a page would come up again in `stop`.
        for asked in _STOPS:
            signal.signal(asked, self._handle_signal_stop)
        gc.freeze()  # to search all that was imported for garbage would hold up a page by 0.1 s
        try:
            self.ioloop.start()
        finally:
            gc.unfreeze()
            self.stop()

    def _ready(self) -> None:
        url = f"http://{HOST}:{self.port}/enter/{self.identity_provider.invite(OWNER)}"
        if self.on_ready:
            self.on_ready(url)
        if self.open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    def stop(self) -> None:
        """End every kernel and remove their sockets; who asks again does not cut that short."""
        for asked in _STOPS:
            signal.signal(asked, signal.SIG_IGN)
        self.ioloop.run_sync(self._ended)
        shutil.rmtree(self.connection_dir, ignore_errors=True)

    async def _ended(self) -> None:
        self.library.cancel()
        await asyncio.wait({self.library})
        await self.kernel_manager.shutdown_all(now=True)


def _config() -> Config:
    return Config(
        {
            "VoilaConfiguration": {
                "template": assets.TEMPLATE,
                "theme": "light",
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "strip_sources": True,
                "show_tracebacks": False,
                "extension_allowlist": assets.EXTENSIONS,
                "multi_kernel_manager_class": OwnedKernels,
                "prelaunch_hook": pages.prelaunch,
            },
            "VoilaExecutor": {"timeout": CELL_SECONDS},
            "VoilaExporter": {"filters": {"for_browser": for_browser, "is_plain": is_plain}},
            "KernelManager": {"transport": "ipc"},
            "MappingKernelManager": {
                "cull_idle_timeout": IDLE_SECONDS,
                "cull_connected": True,
                "cull_interval": 60,
                "allow_tracebacks": False,
            },
        }
    )
