"""The wheel alone, in an empty environment outside the checkout, does what the checkout does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from coachbook import __version__

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
SHIPPED = (
    "coachbook/__init__.py",
    "coachbook/py.typed",
    "coachbook/locales/zh_CN/LC_MESSAGES/coachbook.mo",
    "coachbook/locales/glossary.toml",
    "coachbook/metrics/win_rate_count.sql",
    "coachbook/notebooks/index.toml",
    "coachbook/notebooks/retrospective.ipynb",
    "coachbook/sample_data/demo/mapping.toml",
    "coachbook/sample_data/regional_sales/mapping.toml",
    "coachbook/sample_data/regional_sales/Opportunities.csv",
    "coachbook/sample_data/regional_sales/LICENSE",
    "coachbook/sources/presets/fxiaoke/mapping.toml",
    "coachbook/sources/presets/generic/mapping.toml",
    "coachbook/sources/presets/hubspot/mapping.toml",
    "coachbook/sources/presets/salesforce/mapping.toml",
    "coachbook/sources/presets/xiaoshouyi/mapping.toml",
    "coachbook/sources/quality/prepare.sql",
    "coachbook/templates/coachbook.css",
    "coachbook/warehouse/history.sql",
    "coachbook_widgets/__init__.py",
)


@dataclass(frozen=True)
class Installed:
    """Where the wheel was installed, and a folder to work in."""

    bin: Path
    folder: Path

    def run(self, *args: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "COACHBOOK"))
        }
        command = [str(self.bin / args[0]), *args[1:]]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )


def _uv(*args: str | Path) -> None:
    done = subprocess.run([str(UV), *map(str, args)], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _uv("build", "--quiet", "--wheel", "--out-dir", folder, "--build-constraint", "constraints.txt")
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("outside")
    _uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _uv(
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        python,
        "--constraint",
        "constraints.txt",
        wheel,
    )
    return Installed(python.parent, folder)


def test_everything_a_user_needs_is_in_it_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert set(SHIPPED) - set(names) == set()
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "coachbook", "coachbook_widgets", f"coachbook-{__version__}.data", f"coachbook-{__version__}.dist-info",
    }  # fmt: skip
    spec = f"coachbook-{__version__}.data/data/share/jupyter/kernels/coachbook/kernel.json"
    assert [name for name in names if ".data/" in name] == [spec]
    assert not [name for name in names if "__pycache__" in name or ".ipynb_checkpoints" in name]


def test_a_page_from_the_sample(installed: Installed) -> None:
    where = installed.run("python", "-c", "import coachbook; print(coachbook.__file__)").stdout
    assert where.startswith(str(installed.folder))
    assert installed.run("coachbook", "--version").stdout.strip() == __version__
    assert installed.run("coachbook", "init", "mine").returncode == 0
    imported = installed.run(
        "coachbook", "import", "--preset", "regional_sales", "--workspace", "mine", "--json"
    )
    assert imported.returncode == 0, imported.stderr
    assert sum(f["loaded"] for f in json.loads(imported.stdout)["files"]) > 20_000
    made = installed.run(
        "coachbook", "run", "retrospective", "--reps", "Archie Boyle", "--period", "2021-10",
        "--locale", "zh_CN", "--workspace", "mine", "--out", "out", "--json",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    [row] = json.loads(made.stdout)["rows"]
    assert row["kernel"] == "forked"
    assert {Path(name).suffix for name in row["files"]} == {".ipynb", ".html"}
    page = (installed.folder / "out" / row["rep"] / "retrospective.html").read_text(encoding="utf-8")
    assert "复盘" in page


@pytest.mark.verify
def test_the_demo(installed: Installed) -> None:
    done = installed.run("coachbook", "demo", "--no-serve", timeout=900)
    assert done.returncode == 0, done.stderr
    [manifest] = installed.folder.glob("coachbook-demo/runs/*/manifest.jsonl")
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 20
    assert (manifest.parent / "index.html").is_file()
    for row in rows:
        for name in row["files"]:
            assert (manifest.parent / name).stat().st_size > 1000
