# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes roles/*/README.md from meta/argument_specs.yml, the one source of a role's variables.

With --check it writes nothing and says which file is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
_MARKUP = re.compile(r"\b[COVEPMIB]\((?P<text>(?:[^()\\]|\\.|\([^()]*\))+)\)")
_LINK = re.compile(r"\b[LU]\((?P<text>[^(),]+)(?:,\s*(?P<target>[^()]+))?\)")


def plain(text: Any) -> str:
    """Ansible's markup as Markdown, on one line."""
    joined = " ".join(str(part).strip() for part in text) if isinstance(text, list) else str(text or "").strip()
    joined = _LINK.sub(lambda match: f"[{match['text']}]({match['target'] or match['text']})", joined)
    joined = _MARKUP.sub(lambda match: f"`{match['text']}`", joined)
    return " ".join(joined.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "required"
    if "default" not in option:
        return ""
    value = option["default"]
    text = (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        .strip()
        .removesuffix("...")
        .strip()
    )
    return f"`{text}`" if len(text) <= 60 else "see `defaults/main.yml`"


def _kind(option: dict[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    if kind == "list" and "elements" in option:
        return f"list of {option['elements']}"
    return kind


def _rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, option in options.items():
        words = plain(option.get("description"))
        if option.get("choices"):
            words += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
        yield f"| `{prefix}{name}` | {_kind(option)} | {_cell(_default(option))} | {_cell(words)} |"
        if option.get("options"):
            yield from _rows(
                option["options"], f"{prefix}{name}[]." if option.get("type") == "list" else f"{prefix}{name}."
            )


def _table(options: dict[str, Any]) -> Iterator[str]:
    if not options:
        yield "It has no variables of its own."
        return
    yield "| variable | type | default | meaning |"
    yield "|---|---|---|---|"
    yield from _rows(options)


def _paragraphs(text: Any) -> Iterator[str]:
    for part in text if isinstance(text, list) else [text or ""]:
        yield plain(part)
        yield ""


def render(role: str, specs: dict[str, Any]) -> str:
    main = specs["main"]
    lines = [f"# slipway.vps.{role}", "", f"{plain(main['short_description']).rstrip('.')}.", ""]
    lines += _paragraphs(main.get("description"))
    lines += ["```yaml", "- hosts: all", "  become: true", "  roles:", f"    - role: slipway.vps.{role}", "```", ""]
    lines += ["## Variables", "", *_table(main.get("options") or {}), ""]
    for name, spec in specs.items():
        if name != "main":
            lines += [f"## Entry point `{name}`", "", f"{plain(spec['short_description']).rstrip('.')}.", ""]
            lines += _paragraphs(spec.get("description"))
            lines += [*_table(spec.get("options") or {}), ""]
    lines += ["This page is made from `meta/argument_specs.yml` by `make readmes`.", ""]
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """README file -> what it should say, for every role."""
    found = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        role = path.parent.parent
        found[role / "README.md"] = render(role.name, yaml.safe_load(path.read_text())["argument_specs"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = [path for path, text in pages().items() if not (path.is_file() and path.read_text() == text)]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date, run `make readmes`' if options.check else 'written'}")
        if not options.check:
            path.write_text(pages()[path])
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
