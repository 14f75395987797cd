# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags of the lab's registry, moved by its own API: what a registry's owner may do at any time."""

from __future__ import annotations

import json
import ssl
import urllib.request
from email.message import Message

from slipway_lab import LAB

REGISTRY = "https://10.77.0.4:5000/v2"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def _call(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[Message, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{REGISTRY}/{path}", data=body, method=method, headers=named)
    context = ssl.create_default_context(cafile=str(LAB / "ca.pem"))
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return answer.headers, answer.read()


def move_tag(source: str, target: str) -> str:
    """Let `target` (repository:tag) name the image of `source`; return its digest."""
    from_repository, from_tag = source.split(":")
    to_repository, to_tag = target.split(":")
    headers, manifest = _call("GET", f"{from_repository}/manifests/{from_tag}", Accept=", ".join(MANIFESTS))
    content = json.loads(manifest)
    for blob in [content["config"], *content["layers"]]:
        _call("POST", f"{to_repository}/blobs/uploads/?mount={blob['digest']}&from={from_repository}", b"")
    kind = headers["Content-Type"]
    made, _body = _call("PUT", f"{to_repository}/manifests/{to_tag}", manifest, Content_Type=kind)
    return str(made["Docker-Content-Digest"])
