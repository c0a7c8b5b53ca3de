"""Charts drawn as SVG: the same on every machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from coachbook.charts import svg, theme

_DRAWN = "import json, sys; from coachbook.charts import svg; print(svg(json.load(sys.stdin)), end='')"


def _labelled(text: str) -> dict[str, object]:
    """One bar, whose label takes as much room as it needs."""
    return {
        "data": {"values": [{"name": text, "value": 1}]}, "mark": "bar", "config": theme.CONFIG, "padding": 0,
        "autosize": {"type": "pad"}, "width": 100,
        "encoding": {
            "y": {"field": "name", "type": "nominal", "title": None, "axis": {"ticks": False, "labelLimit": 0}},
            "x": {"field": "value", "type": "quantitative", "axis": None},
        },
    }  # fmt: skip


def _width(text: str) -> float:
    return float(ElementTree.fromstring(svg(_labelled(text))).attrib["width"])


@pytest.mark.parametrize("text", ["名", "，", "가", "か", "Ｗ"])
def test_a_chinese_sign_takes_one_em_wherever_the_chart_is_drawn(text: str) -> None:
    assert _width(text * 12) - _width(text * 2) == pytest.approx(10 * theme.SIZE, abs=2)


def test_latin_letters_are_measured_one_by_one() -> None:
    narrow, wide = (_width(sign * 12) - _width(sign * 2) for sign in "iW")
    assert 0 < 3 * narrow < wide


def test_fonts_of_the_machine_make_no_difference(tmp_path: Path) -> None:
    spec = json.dumps(_labelled("Ada 名字 → 1,234.50 €"))
    machines = ({}, {"FONTCONFIG_FILE": str(_fonts(tmp_path / "none", tmp_path / "empty"))})
    drawn = {
        subprocess.run(
            [sys.executable, "-c", _DRAWN], input=spec, env={**os.environ, **machine}, capture_output=True, text=True,
            timeout=60, check=True,
        ).stdout
        for machine in machines
    }  # fmt: skip
    assert drawn == {svg(json.loads(spec))}
    assert drawn.pop().startswith("<svg")


def _fonts(file: Path, folder: Path) -> Path:
    """The settings of a machine with no other fonts than those in a folder."""
    folder.mkdir()
    file.write_text(f"<?xml version='1.0'?><fontconfig><dir>{folder}</dir></fontconfig>", encoding="utf-8")
    return file


def test_drawing_leaves_the_settings_of_the_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; from coachbook.charts import svg; before = dict(os.environ); svg({'mark': 'point'}); assert dict(os.environ) == before"
    for given in ({}, {"FONTCONFIG_FILE": "/nowhere"}):
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **given}, check=True, timeout=60)
