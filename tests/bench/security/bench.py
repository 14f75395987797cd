# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scanners say of a new server, of both profiles, and of the peers that PEERS_DIR has: docs/security-scores.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from slipway_bench import Result
from slipway_bench.hosts import link, new_host, peers, play
from slipway_bench.result import ROOT
from slipway_lab import connect
from slipway_scans import DATASTREAM, PROFILES, Scanners, TestSsl

HOST = "vps13"
PAGE = ROOT / "docs" / "security-scores.md"
STRICT = ("--extra-vars", "@molecule/security/vars/strict.yml")
# What a server outside of a container has with the defaults.
BASELINE = ("--extra-vars", '{"hardening_modules_enabled": true}')
HEAD = """# What scanners say

Written by `make bench-security`. Each column is a new Debian 13 server in a container, with the newest updates,
hardened by that and scanned with the same programs in the same run. Settings of the whole machine are left alone in a
container, so a virtual machine scores higher in the rules about the kernel, auditd, AppArmor and the clock. `strict` is
`molecule/security/vars/strict.yml`, with a site; peers run with their defaults, but `dev-sec` without its kernel
settings and auditd, and `konstruktoid` with the network that logs in. Each rule that fails with `strict` has its reason
in `molecule/security/deviations`; the scenario `security` compares them. OpenSCAP: passed of passed and failed rules.
"""


def scanned() -> dict[str, float]:
    scanners, vps = Scanners(HOST), connect(HOST)
    # Its first state is recorded half an hour later by itself.
    vps.run("systemctl start slipway-aide-baseline.service && systemctl start slipway-modes.service")
    lynis, ssh = scanners.lynis(), scanners.ssh_audit()
    scores: dict[str, float] = {
        "lynis": lynis.index,
        "lynis_warnings": len(lynis.warnings),
        "ssh_audit_fail": len(ssh.fails),
        "ssh_audit_warn": len(ssh.warnings),
    }
    for profile in PROFILES:
        found = scanners.openscap(profile)
        scores[f"{profile}_percent"] = found.percent
        scores[f"{profile}_failed"] = len(found.failed)
        scores[f"{profile}_skipped"] = found.skipped
    return scores


def prepared() -> None:
    new_host(HOST)
    play(HOST, "molecule/security/prepare.yml")


def table(columns: dict[str, dict[str, float]], tls: TestSsl, versions: str) -> str:
    names = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name in names:
        cells = (f"{scores[name]:g}" if name in scores else "" for scores in columns.values())
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    low = [name for name, (severity, _text) in tls.findings.items() if severity == "LOW"]
    site = f"testssl of the site with `strict`: **{tls.grade}**, findings of severity LOW: {', '.join(low) or 'none'}."
    return f"{HEAD}\n" + "\n".join(lines) + f"\n\n{site}\n\n{versions}\n"


def versions() -> str:
    command = "dpkg-query --show --showformat '${Package} ${Version}, ' lynis openscap-scanner testssl.sh"
    vps = connect(HOST)
    ssg = vps.check_output(f"cat {Path(DATASTREAM).parent}/version")
    return f"Scanners: {vps.check_output(command)}ssg-debian {ssg}."


def run(folder: Path) -> tuple[Result, str]:
    link(folder)
    columns: dict[str, dict[str, float]] = {}
    ways = {
        "bare": None,
        **{name: (f"tests/bench/peers/{name}.yml",) for name in peers()},
        "baseline": ("playbooks/harden.yml", *BASELINE),
        "strict": ("playbooks/harden.yml", *STRICT),
    }
    for name, words in ways.items():
        prepared()
        if words:
            play(HOST, *words)
            # Some peers leave it to the reader to make the new configuration live.
            connect(HOST).check_output("systemctl restart ssh")
        if name == "strict":
            play(HOST, "molecule/security/site.yml", *STRICT)
        columns[name] = scanned()
        print(f"{name}: {columns[name]}", flush=True)
    tls = Scanners(HOST).testssl(f"{HOST}.test")
    result = Result("security")
    for name, scores in columns.items():
        for figure, value in scores.items():
            result.add(f"{'slipway' if name == 'strict' else name}.{figure}", value)
    result.add("slipway.testssl_aplus", tls.grade == "A+")
    return result, table(columns, tls, versions())


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result, page = run(Path(folder))
    PAGE.write_text(page, encoding="utf-8")
    print(f"\n{page}\n{result.write().relative_to(ROOT)} and {PAGE.relative_to(ROOT)}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
