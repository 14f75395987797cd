# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What security scanners say of a server, today: each writes a report of its own, which is read and thrown away."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from slipway_lab import ADDRESSES, LAB, connect

DATASTREAM = "/usr/share/xml/scap/ssg-debian13-ds.xml"
PROFILES = {
    "cis_level1": "cis_level1_server",
    "anssi_minimal": "anssi_bp28_minimal",
    "anssi_intermediary": "anssi_bp28_intermediary",
}
PREFIX = "xccdf_org.ssgproject.content_"
RULE_RESULTS = """
import json, sys
from xml.etree import ElementTree
name = "{http://checklists.nist.gov/xccdf/1.2}"
found = ElementTree.parse(sys.argv[1]).iter(name + "rule-result")
print(json.dumps({one.get("idref"): one.find(name + "result").text for one in found}))
"""


class NoReport(Exception):
    """A scanner ended without one."""


@dataclass(frozen=True)
class Lynis:
    index: int
    warnings: list[str]
    suggestions: list[str]


@dataclass(frozen=True)
class OpenScap:
    """Result of each rule that the profile selects."""

    results: dict[str, str]

    def with_result(self, *wanted: str) -> set[str]:
        return {rule for rule, result in self.results.items() if result in wanted}

    @property
    def failed(self) -> set[str]:
        return self.with_result("fail")

    @property
    def not_judged(self) -> set[str]:
        """Where the rule itself does not work."""
        return self.with_result("error", "unknown")

    @property
    def skipped(self) -> int:
        """Rules that do not apply to what the host is, or that only a person can judge."""
        return len(self.with_result("notapplicable", "notchecked"))

    @property
    def percent(self) -> float:
        """Passed of those that passed or failed, as their makers count."""
        passed, failed = len(self.with_result("pass")), len(self.with_result("fail"))
        return round(100 * passed / (passed + failed), 1)


@dataclass(frozen=True)
class SshAudit:
    """Algorithms and keys that are offered, and should not be."""

    fails: set[str]
    warnings: set[str]


@dataclass(frozen=True)
class TestSsl:
    grade: str
    # What is not in order: name of the finding -> severity and what was found.
    findings: dict[str, tuple[str, str]]

    __test__ = False


class Scanners:
    def __init__(self, name: str) -> None:
        self._name = name
        self.address = ADDRESSES[name]

    def lynis(self) -> Lynis:
        with self._folder() as (vps, folder):
            report = f"{folder}/report"
            argv = ["lynis", "audit", "system", "--cronjob", "--report-file", report, "--logfile", f"{folder}/log"]
            self._run(vps, argv, report)
            lines = vps.file(report).content_string.splitlines()
        named = [line.partition("=") for line in lines]
        indices = [int(value) for key, _equals, value in named if key == "hardening_index"]
        if len(indices) != 1:
            raise NoReport("Lynis did not get to its end: its report has no hardening_index.")
        return Lynis(
            indices[0],
            [value for key, _equals, value in named if key == "warning[]"],
            [value for key, _equals, value in named if key == "suggestion[]"],
        )

    def openscap(self, profile: str) -> OpenScap:
        with self._folder() as (vps, folder):
            report = f"{folder}/results.xml"
            profile_id = f"{PREFIX}profile_{PROFILES[profile]}"
            self._run(vps, ["oscap", "xccdf", "eval", "--profile", profile_id, "--results", report, DATASTREAM], report)
            output = vps.check_output(f"python3 -c {shlex.quote(RULE_RESULTS)} {report}")
        found = json.loads(output)
        results = {rule.removeprefix(f"{PREFIX}rule_"): result for rule, result in found.items()}
        return OpenScap({rule: result for rule, result in results.items() if result != "notselected"})

    def ssh_audit(self) -> SshAudit:
        # Its test of many connections at once would get this machine banned.
        argv = ["ssh-audit", "--json", "--skip-rate-test", self.address]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        try:
            found = json.loads(done.stdout)
        except ValueError as error:
            raise NoReport(f"ssh-audit: {done.stdout}{done.stderr}") from error
        offered = [(kind, one) for kind in ("kex", "key", "enc", "mac") for one in found[kind]]
        if not offered:
            raise NoReport(f"ssh-audit found no algorithm: {done.stdout}")
        noted = {
            level: {f"{kind} {one['algorithm']}" for kind, one in offered if one.get("notes", {}).get(level)}
            for level in ("fail", "warn")
        }
        return SshAudit(noted["fail"], noted["warn"])

    def testssl(self, site: str) -> TestSsl:
        with self._folder() as (vps, folder):
            report, authority = f"{folder}/report.json", f"{folder}/ca.pem"
            vps.check_output(f"echo {shlex.quote((LAB / 'acme-root.pem').read_text())} > {authority}")
            argv = ["testssl", "--quiet", "--warnings", "off", "--color", "0", "--add-ca", authority]
            self._run(vps, [*argv, "--ip", self.address, "--jsonfile", report, f"{site}:443"], report)
            found: list[dict[str, Any]] = json.loads(vps.file(report).content_string)
        grades = [one["finding"] for one in found if one["id"] == "overall_grade"]
        if len(grades) != 1:
            raise NoReport("testssl gave no grade.")
        findings = {
            one["id"]: (one["severity"], one["finding"])
            for one in found
            if one["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL")
        }
        return TestSsl(grades[0], findings)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[tuple[Any, str]]:
        """A connection and a new directory on the server, so that no earlier report can be taken for this one."""
        vps = connect(self._name)
        folder = f"/var/tmp/scan-{uuid.uuid4().hex}"
        vps.check_output(f"mkdir -m 0700 {folder}")
        try:
            yield vps, folder
        finally:
            vps.check_output(f"rm -r {folder}")

    @staticmethod
    def _run(vps: Any, argv: list[str], report: str) -> None:
        """The scanners' exit codes tell what they found; whether they worked is told by their report."""
        done = vps.run(shlex.join(argv))
        if not vps.file(report).size:
            raise NoReport(f"{argv[0]} ended with {done.rc} and no report: {done.stdout[-2000:]}{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Deviations:
    """What is known to fail and why, what a scanner cannot judge, and how many of its rules it leaves out."""

    rules: Mapping[str, str]
    not_judged: Mapping[str, str] = field(default_factory=dict)
    skipped: int = 0

    @classmethod
    def read(cls, path: Path) -> Deviations:
        return cls(**yaml.safe_load(path.read_text(encoding="utf-8")))
