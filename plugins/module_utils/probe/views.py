# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The view from the host beside the view from outside: where a fault is, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .result import FAIL

Results = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sight:
    """One site, as both views have it. A view that did not look is empty."""

    url: str
    inside: Mapping[str, Any]
    outside: Mapping[str, Any]
    certificate: Mapping[str, Any]
    name: Mapping[str, Any]
    addresses: tuple[str, ...]

    @property
    def host(self) -> str:
        return _host(self.url)

    @property
    def resolved(self) -> list[str]:
        return list((self.name.get("observed") or {}).get("addresses") or [])

    @property
    def elsewhere(self) -> str:
        """Where the public name leads, if that is not this host. Empty where nobody knows."""
        if not self.resolved or not self.addresses or set(self.resolved) & set(self.addresses):
            return ""
        return f"the public name resolves elsewhere: to {', '.join(self.resolved)}, not to {', '.join(self.addresses)}"


def compare(inside: Results, outside: Results, addresses: Sequence[str] = ()) -> list[str]:
    """A sentence for each host of which the two views differ, or fail together. `addresses` are this host's own."""
    sentences: dict[tuple[str, str], str] = {}
    for sight in _sights(inside, outside, tuple(addresses)):
        kind, sentence = _judge(sight)
        if sentence:
            # Several paths of one host have one cause.
            sentences.setdefault((sight.host, kind), sentence)
    return list(sentences.values())


def _sights(inside: Results, outside: Results, addresses: tuple[str, ...]) -> Iterator[Sight]:
    within = {one["target"]: one for one in inside if one["type"] == "http"}
    certificates = {_host(f"//{one['target']}"): one for one in inside if one["type"] == "tls"}
    names = {one["target"]: one for one in outside if one["type"] == "dns"}
    for one in outside:
        url = one["target"]
        if one["type"] == "http" and url in within:
            host = _host(url)
            yield Sight(url, within[url], one, certificates.get(host, {}), names.get(host, {}), addresses)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _judge(sight: Sight) -> tuple[str, str]:
    bad_inside, bad_outside = (view.get("status") == FAIL for view in (sight.inside, sight.outside))
    if bad_inside and bad_outside:
        return "both", f"{sight.host} fails on the host itself too ({sight.inside['message']}): mend that first."
    if bad_inside:
        cause = sight.elsewhere or "a cache or another server in between answers for it"
        return "inside", f"{sight.host} answers visitors, but not on the host ({sight.inside['message']}): {cause}."
    return _outside(sight) if bad_outside else ("", "")


def _outside(sight: Sight) -> tuple[str, str]:
    """It is well on the host: what is wrong is the way to it."""
    seen, observed = sight.outside["message"], sight.outside.get("observed") or {}
    if sight.name.get("status") == FAIL:
        record = f"make an A or AAAA record{' for ' + ', '.join(sight.addresses) if sight.addresses else ''}"
        return "name", f"{sight.host} is well on the host, but its public name does not resolve: {record}."
    if "verify_code" in observed:
        return "certificate", _certificate(sight, seen)
    if sight.elsewhere:
        return "name", f"{sight.host} is well on the host, but {sight.elsewhere} ({seen}): correct its DNS record."
    if "status" in observed:
        return "answer", (
            f"{sight.host} is well on the host, but visitors get another answer ({seen}): look at the proxy or cache "
            "in between, and at rules that treat addresses differently."
        )
    return "way", (
        f"{sight.host} is well on the host, but it cannot be reached from outside ({seen}): look at the firewall of "
        "the host and of the provider."
    )


def _certificate(sight: Sight, seen: str) -> str:
    fine = sight.certificate.get("status", FAIL) != FAIL
    begin = f"The certificate of {sight.host} is fine" if fine else f"{sight.host} is well"
    begin += " on the host, but "
    if sight.elsewhere:
        return f"{begin}{sight.elsewhere}, where {seen}: correct its DNS record."
    return (
        f"{begin}visitors see another one ({seen}): a proxy or load balancer in between ends TLS with its own, or the "
        "controller does not trust its CA (health_ca_file)."
    )
