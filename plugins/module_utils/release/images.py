# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images: a tag is resolved to a digest once, and from then on only the digest is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..common.errors import SlipwayError
from ..common.events import Emitter
from .daemon import Daemon


def resolve(daemon: Daemon, reference: str) -> str:
    """`name:tag` -> `name@sha256:...`, asked from the registry; an image that was built or loaded here -> its id."""
    if "@sha256:" in reference or reference.startswith("sha256:"):
        return reference
    local = _local(daemon, reference)
    if local is not None and not local.get("RepoDigests"):
        return str(local["Id"])
    try:
        digest = daemon.client.images.get_registry_data(reference).id
    except daemon.errors.NotFound as error:
        raise missing(reference, error) from error
    except daemon.errors.APIError as error:
        raise _refused(reference, error) from error
    return f"{repository(reference)}@{digest}"


def resolve_all(daemon: Daemon, references: Mapping[str, str]) -> dict[str, str]:
    """Service -> digest; services that share a reference share the answer."""
    known: dict[str, str] = {}
    for reference in references.values():
        if reference not in known:
            known[reference] = resolve(daemon, reference)
    return {service: known[reference] for service, reference in references.items()}


def with_health_check(daemon: Daemon, resolved: Mapping[str, str]) -> set[str]:
    """The services whose image, which is on this host, brings a health check of its own."""
    return {service for service, reference in resolved.items() if has_health_check(_local(daemon, reference) or {})}


def has_health_check(image: Mapping[str, Any]) -> bool:
    test = ((image.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ["NONE"]
    return bool(test[0] != "NONE")


def pull(daemon: Daemon, resolved: Iterable[str], emitter: Emitter) -> list[str]:
    """Fetch what is not on this host yet; return what was fetched."""
    fetched = []
    for reference in sorted(set(resolved)):
        if _local(daemon, reference) is not None:
            continue
        emitter.info(f"pulling {reference}")
        _pull_one(daemon, reference, emitter)
        fetched.append(reference)
    return fetched


def _pull_one(daemon: Daemon, reference: str, emitter: Emitter) -> None:
    if reference.startswith("sha256:"):
        raise SlipwayError(
            f"The image {reference} was built or loaded on this host and is gone.",
            hint="Load it again, or release from a registry.",
        )
    name, digest = reference.split("@", 1)
    progress = Progress()
    try:
        for event in daemon.client.api.pull(name, tag=digest, stream=True, decode=True):
            if event.get("error"):
                raise SlipwayError(
                    f"The image {reference} could not be pulled: {event['error']}.", hint=_what_to_do(event["error"])
                )
            if progress.add(event):
                emitter.percent("pull", progress.percent, name)
    except daemon.errors.NotFound as error:
        raise missing(reference, error) from error
    except daemon.errors.APIError as error:
        raise _refused(reference, error) from error


def _what_to_do(reason: str) -> str:
    if "no space left" in reason:
        return "Look with: df -h ; docker system df. Free some (docker image prune -a), then release again."
    return "Check that this host reaches the registry, then release again."


class Progress:
    """Turns the Engine's layer events into a percentage that is told every tenth."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._told = 0

    @property
    def percent(self) -> float:
        total = sum(size for _done, size in self._layers.values())
        return 100.0 * sum(done for done, _size in self._layers.values()) / total if total else 0.0

    def add(self, event: dict[str, Any]) -> bool:
        detail = event.get("progressDetail") or {}
        layer = str(event.get("id") or "")
        if event.get("status") == "Downloading" and detail.get("total"):
            self._layers[layer] = (int(detail.get("current") or 0), int(detail["total"]))
        elif event.get("status") == "Download complete" and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1], self._layers[layer][1])
        step = int(self.percent // 10)
        if step <= self._told:
            return False
        self._told = step
        return True


def _local(daemon: Daemon, reference: str) -> dict[str, Any] | None:
    try:
        return dict(daemon.client.api.inspect_image(reference))
    except daemon.errors.ImageNotFound:
        return None


def is_local(daemon: Daemon, reference: str) -> bool:
    return _local(daemon, reference) is not None


def remove(daemon: Daemon, reference: str) -> bool:
    """Remove an image that no container uses; False if one does, or it is gone."""
    try:
        daemon.client.api.remove_image(reference)
    except daemon.errors.APIError:
        return False
    return True


def repository(reference: str) -> str:
    """The name without tag and digest; a colon before the last slash belongs to the registry's port."""
    name = reference.split("@", 1)[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.split(':', 1)[0]}"


def missing(reference: str, error: Exception) -> SlipwayError:
    return SlipwayError(
        f"The image {reference} does not exist in its registry, or this host may not read it ({_reason(error)}).",
        hint="Push it, correct stack_release or the Compose file, or log this host in (docker_registry_logins).",
    )


def _refused(reference: str, error: Exception) -> SlipwayError:
    reason = _reason(error)
    if any(word in reason for word in ("not found", "manifest unknown", "denied", "unauthorized", "no basic auth")):
        return missing(reference, error)
    return SlipwayError(
        f"The registry of the image {reference} does not answer as it should ({reason}).",
        hint="Check that this host reaches it, and its certificate. Nothing was changed.",
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "explanation", "") or error)
