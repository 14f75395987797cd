# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same report for people (table) and for machines (JSON, Prometheus text, JUnit)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.files import write_atomic
from .result import FAIL, OK, SEVERITY, ProbeResult, Report

COLUMNS = ["status", "probe", "ms", "expected", "seen -> what to try"]
# A longer expectation is cut: one probe is one line.
EXPECTED_WIDTH = 48
NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# XML 1.0 has no way to write these, not even escaped.
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def row(probe: ProbeResult) -> list[str]:
    """One line a probe: what was expected, what was seen, and what to try when it is not good."""
    tries = f" ({probe.attempts} attempts)" if probe.attempts > 1 else ""
    hint = f" -> {probe.hint}" if probe.hint and probe.status != OK else ""
    expected = probe.expected
    if len(expected) > EXPECTED_WIDTH:
        expected = f"{expected[: EXPECTED_WIDTH - 3]}..."
    cells = [probe.status, probe.name, f"{probe.latency_ms:.0f}", expected, f"{probe.message}{tries}{hint}"]
    # What a server says may hold line ends, and what moves the cursor of a terminal.
    return [NOT_SHOWN.sub(" ", cell) for cell in cells]


def rows(report: Report) -> list[list[str]]:
    return [row(probe) for probe in report.worst_first()]


def table(report: Report) -> str:
    """Aligned columns, worst first, and a closing line."""
    lines = [COLUMNS, *rows(report)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(COLUMNS) - 1)]
    text = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    ]
    counts = report.summary
    text.append(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail in {counts['seconds']:.1f} s")
    return "\n".join(text) + "\n"


def as_json(report: Report) -> str:
    return json.dumps(report.as_dict(), indent=2, sort_keys=True) + "\n"


GAUGES: dict[str, tuple[str, Callable[[ProbeResult], float]]] = {
    "slipway_probe_status": ("0 is ok, 1 is warn, 2 is fail.", lambda probe: SEVERITY[probe.status]),
    "slipway_probe_latency_seconds": ("Time of the last attempt.", lambda probe: probe.latency_ms / 1000),
    "slipway_probe_attempts": ("Attempts that were made.", lambda probe: probe.attempts),
}


def prometheus(report: Report, labels: Mapping[str, str] | None = None) -> str:
    """Text for node_exporter's textfile collector. `labels` tell several files of one host apart."""
    own = dict(labels or {})
    lines = []
    for name, (description, value) in GAUGES.items():
        lines += [f"# HELP {name} {description}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels({**own, **_of(probe)})} {value(probe):g}" for probe in report.probes]
    for name, (description, figure) in {
        "slipway_probes_status": ("Worst status of the run.", f"{SEVERITY[report.status]}"),
        "slipway_probes_seconds": ("Duration of the run.", f"{report.seconds:.3f}"),
        "slipway_probes_timestamp_seconds": (
            "When the run ended; it stands still if nobody probes any more.",
            f"{report.ended:.3f}",
        ),
    }.items():
        lines += [f"# HELP {name} {description}", f"# TYPE {name} gauge", f"{name}{_labels(own)} {figure}"]
    return "\n".join(lines) + "\n"


def _of(probe: ProbeResult) -> dict[str, str]:
    return {"name": probe.name, "type": probe.type, "target": probe.target, "group": probe.group}


def _labels(labels: Mapping[str, str]) -> str:
    text = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{{{text}}}" if text else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def junit(report: Report) -> str:
    """One test case a probe; a warning passes and is written down as output."""
    # Imported where it is used: few ask for this format.
    from xml.etree import ElementTree

    failures = sum(probe.status == FAIL for probe in report.probes)
    suite = ElementTree.Element(
        "testsuite", name="slipway", tests=str(len(report.probes)), failures=str(failures), time=f"{report.seconds:.3f}"
    )
    for probe in report.probes:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"slipway.{probe.type}",
            name=_xml(probe.name),
            time=f"{probe.latency_ms / 1000:.3f}",
        )
        if probe.status == FAIL:
            ElementTree.SubElement(case, "failure", message=_xml(probe.message)).text = _xml(
                f"{probe.target}\nexpected: {probe.expected}\nseen: {probe.message}\n{probe.hint}"
            )
        elif probe.status != OK:
            ElementTree.SubElement(case, "system-out").text = _xml(f"warning: {probe.message}\n{probe.hint}")
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return NOT_XML.sub("?", text)


FORMATS = {"table": table, "json": as_json, "prometheus": prometheus, "junit": junit}


def write(report: Report, output: Mapping[str, str | None]) -> list[str]:
    """Write the asked formats (format to path); return the paths written."""
    written = []
    for name, path in output.items():
        if not path:
            continue
        if not Path(path).parent.is_dir():
            raise SlipwayError(f"The directory of the report {path} does not exist.", hint="Create it first.")
        write_atomic(path, FORMATS[name](report), 0o644)
        written.append(path)
    return written
