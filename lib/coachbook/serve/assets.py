"""Style, script and chart library, from this host, under an address that changes with their content."""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import HTTPError, RequestHandler

from coachbook.catalogue import shipped

VEGA_LITE = "6.4"
"""What Altair writes specifications for."""
_SHIPPED = {"coachbook.css": "text/css", "served.css": "text/css", "coachbook.js": "text/javascript", "mathjax.js": "text/javascript"}  # fmt: skip
_BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle(vl_version=sys.argv[1]))"


@cache
def address() -> str:
    """Where the assets are: `/assets/<version>`."""
    digest = sha256(f"{version('vl-convert-python')} {VEGA_LITE}".encode())
    for name in _SHIPPED:
        digest.update((shipped("templates") / name).read_bytes())
    return f"/assets/{digest.hexdigest()[:12]}"


async def chart_library(cache_folder: Path) -> Path:
    """vega, vega-lite and vega-embed in one file, made once per version in a process of its own."""
    path = cache_folder / f"vega-{VEGA_LITE}-{version('vl-convert-python')}.js"
    if not path.exists():
        cache_folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{token_hex(4)}")
        with aside.open("wb") as out:
            maker = await asyncio.create_subprocess_exec(sys.executable, "-c", _BUNDLE, VEGA_LITE, stdout=out)
        if await maker.wait():
            aside.unlink()
            raise HTTPError(500, "vl-convert made no chart library")
        aside.replace(path)
    return path


class Asset(RequestHandler):
    """A file of ours, for everybody and for ever: the address holds the version."""

    def initialize(self, library: asyncio.Task[Path]) -> None:
        """`library` ends with the path of the chart library."""
        self.library = library

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        """Send it."""
        if name == "vega.js":
            path, kind = await asyncio.shield(self.library), "text/javascript"
        elif name in _SHIPPED:
            path, kind = shipped("templates") / name, _SHIPPED[name]
        else:
            raise HTTPError(404)
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(path.read_bytes())
