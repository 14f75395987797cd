# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/systems.md from docs/systems.yml: every line of the five systems, what provides it and what proves it.

With --check it writes nothing and says whether the page is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs" / "systems.yml"
PAGE = ROOT / "docs" / "systems.md"
INTRODUCTION = """# The five systems

Slipway was made to put five systems into production, by the same roles and without a line of code that is about one of
them. Each has an inventory of its own below `inventories/`, and a scenario of [the lab](../molecule/README.md) that
deploys it on a server over SSH. This is every line of their documents: what provides it, and the tests that prove it. A
line that is not provided says why; one that is open comes later. What Slipway does not do at all is in
[Scope](scope.md).
"""
ENDING = "This page is made from `docs/systems.yml` by `make readmes`."


def read() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(DATA.read_text(encoding="utf-8"))["systems"]
    return found


def _test(reference: str) -> str:
    path, name = reference.split("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"


def _proof(claim: Mapping[str, Any]) -> tuple[str, str]:
    if "not_provided" in claim:
        return "not provided", claim["not_provided"]
    if "open" in claim:
        return "open", claim["open"]
    return claim["by"], "<br>".join(map(_test, claim["tests"]))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(system: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {system['name']}"
    yield ""
    yield f"{system['what'][0].upper()}{system['what'][1:]}: `inventories/{system['inventory']}`."
    yield ""
    yield "| line | provided by | proved by |"
    yield "|---|---|---|"
    for claim in system["claims"]:
        cells = (claim["claim"], *_proof(claim))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def render() -> str:
    lines = [line for system in read() for line in _section(system)]
    return "\n".join([INTRODUCTION, *lines, ENDING, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = render()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"docs/systems.md: {'out of date, run `make readmes`' if options.check else 'written'}")
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    return int(options.check)


if __name__ == "__main__":
    sys.exit(main())
