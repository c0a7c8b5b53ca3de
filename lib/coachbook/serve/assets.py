"""Styles, scripts and fonts, from this host alone, under an address that changes with their content."""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
import sys
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import HTTPError, RequestHandler
from voila.paths import collect_static_paths
from voila.utils import get_federated_extensions, get_voila_labextensions_path

from coachbook.catalogue import shipped

VEGA_LITE = "6.4"
"""What Altair writes specifications for."""
TEMPLATE = "lab"
"""Of Voilà's templates the one whose files are served."""
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]
"""What widgets need of JupyterLab; with fewer nothing appears."""
_OURS = ("coachbook.css", "served.css", "coachbook.js", "mathjax.js")
_KINDS = {".js": "text/javascript", ".css": "text/css"}
_BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle(vl_version=sys.argv[1]))"


@cache
def address() -> str:
    """Where the assets are: `/assets/<version>`."""
    digest = sha256(f"{version('vl-convert-python')} {VEGA_LITE}".encode())
    for name, path in _files().items():
        digest.update(name.encode() + path.read_bytes())
    return f"/assets/{digest.hexdigest()[:12]}"


@cache
def _files() -> dict[str, Path]:
    """All that is served, by name: ours, and below `voila/` and `labextensions/` what Voilà's front end asks for."""
    found = {name: shipped("templates") / name for name in _OURS}
    for folder in collect_static_paths(["voila", "nbconvert"], TEMPLATE):
        found = _below(Path(folder), "voila") | found
    extensions = get_federated_extensions(get_voila_labextensions_path())
    for name in EXTENSIONS:
        if name in extensions:
            found |= _below(Path(extensions[name]["ext_path"]), f"labextensions/{name}")
    return found


def _below(folder: Path, name: str) -> dict[str, Path]:
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def chart_library(cache_folder: Path) -> Path:
    """vega, vega-lite and vega-embed in one file, made once per version in a process of its own."""
    path = cache_folder / f"vega-{VEGA_LITE}-{version('vl-convert-python')}.js"
    if not path.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{token_hex(4)}")
        try:
            await _bundle(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return path


async def _bundle(path: Path) -> None:
    with path.open("wb") as out:
        maker = await asyncio.create_subprocess_exec(sys.executable, "-c", _BUNDLE, VEGA_LITE, stdout=out)
    try:
        code = await maker.wait()
    except asyncio.CancelledError:
        maker.kill()
        await maker.wait()
        raise
    if code:
        raise HTTPError(500, "vl-convert made no chart library")


class Asset(RequestHandler):
    """A file for everybody and for ever: the address holds the version. Names are looked up, so none leads elsewhere."""

    def initialize(self, library: asyncio.Task[Path]) -> None:
        """`library` ends with the path of the chart library."""
        self.library = library

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        """Send it, compressed to whoever takes that."""
        path = await asyncio.shield(self.library) if name == "vega.js" else _files().get(name)
        if path is None:
            raise HTTPError(404)
        kind = _kind(path)
        self.set_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Accept-Encoding")
        if kind.startswith("text/") and self._takes_gzip():
            self.set_header("Content-Encoding", "gzip")
            self.finish(await asyncio.to_thread(_compressed, path))
        else:
            self.finish(path.read_bytes())

    def _takes_gzip(self) -> bool:
        accepted = self.request.headers.get("Accept-Encoding", "").replace(" ", "")
        return "gzip" in accepted and "gzip;q=0" not in accepted


def _kind(path: Path) -> str:
    return _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


@cache
def _compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
