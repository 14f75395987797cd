# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a release changes, before and after, as texts for a diff. Pure, and without the value of any secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from .record import Record
from .spec import Command, Route

Difference = dict[str, str]
IN_THE_ARROW = ("name", "host", "path", "service", "port")


def difference(name: str, before: str, after: str) -> Difference:
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def files(before: Mapping[Path, str], after: Mapping[Path, str]) -> list[Difference]:
    return [difference(str(path), before.get(path, ""), after.get(path, "")) for path in sorted({*before, *after})]


def document(content: Mapping[str, Any] | None) -> str:
    """A generated Compose file as it is written."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n" if content else ""


def inputs(release: Record, slot: str, secrets: Mapping[str, str]) -> str:
    """What decides a release, one fact a line; `secrets` are keyed fingerprints."""
    spec = release.spec
    lines = [f"release: {spec.release}", f"domain: {spec.domain}"]
    if slot:
        lines.append(f"slot: {slot}")
    lines += [f"image {name}: {value}" for name, value in sorted(release.images.items())]
    lines += [f"digest {name}: {value}" for name, value in sorted(spec.digests.items())]
    lines += [f"env {name}: {value}" for name, value in sorted(spec.env.items())]
    lines += [f"secret {name}: (fingerprint {secrets.get(name, 'unknown')})" for name in sorted(spec.secrets)]
    lines += [_route(route) for route in spec.routes]
    lines += [f"route {r.name}: {r.host}{r.path} -> folder {r.root} {r.fallback}".rstrip() for r in spec.static]
    lines += [f"replicas {name}: {count}" for name, count in sorted(spec.replicas.items())]
    lines += [f"limits {name}: {dict(sorted(limits.items()))}" for name, limits in sorted(spec.limits.items())]
    lines += [f"data service: {name}" for name in spec.data_services]
    lines += [f"exclusive service: {name}" for name in spec.exclusive_services]
    if spec.migrate:
        lines.append(f"migrate: {_command(spec.migrate)}")
    for moment, commands in sorted(spec.hooks.items()):
        lines += [f"hook {moment}: {_command(command)}" for command in commands]
    lines += [f"file {name}: {checksum}" for name, checksum in sorted(spec.files.items())]
    lines += [f"tenants' template {name}: {checksum}" for name, checksum in sorted(release.templates.items())]
    lines += ["contract: true"] if spec.contract else []
    lines.append(f"logs: {spec.log_max_files} of {spec.log_max_size}")
    return "".join(f"{line}\n" for line in lines)


def _route(route: Route) -> str:
    """Where it leads, and what is not as it is by default."""
    known = [entry for entry in fields(Route) if entry.name not in IN_THE_ARROW]
    more = [f"{f.name}={getattr(route, f.name)}" for f in known if getattr(route, f.name) != f.default]
    return " ".join([f"route {route.name}: {route.host}{route.path} -> {route.service}:{route.port}", *more])


def _command(command: Command) -> str:
    return " ".join([command.service, *command.argv, f"(at most {command.timeout} s)"])
