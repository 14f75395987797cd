# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An authority's limits, kept before it is asked: what it refuses counts too, and shuts others out.

Let's Encrypt gives the allowance back bit by bit: of 50 in a week one every 202 minutes. So is it counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone

from ..common.errors import SlipwayError
from .ledger import Entry

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
PERIODS = {"certificates_per_domain": WEEK, "duplicates": WEEK, "orders": 3 * HOUR, "failures": HOUR}
LETS_ENCRYPT = {"certificates_per_domain": 50, "duplicates": 5, "orders": 300, "failures": 5}


@dataclass(frozen=True)
class Limits:
    """How many of each an authority bears; 0 is no limit."""

    certificates_per_domain: int = 0
    duplicates: int = 0
    orders: int = 0
    failures: int = 0

    @classmethod
    def of(cls, lets_encrypt: bool, given: Mapping[str, int | None]) -> Limits:
        """Those of Let's Encrypt, or none for another authority, unless they are given."""
        usual = LETS_ENCRYPT if lets_encrypt else {}
        told = {key: int(value) for key, value in given.items() if value is not None}
        return cls(**{**usual, **told})

    @property
    def any(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


def next_at(times: Iterable[float], limit: int, period: float) -> float:
    """When one more is allowed."""
    interval = period / limit
    used = 0.0
    for moment in sorted(times):
        used = max(used, moment) + interval
    return used + interval - period


@dataclass(frozen=True)
class Guard:
    """What has been asked of one authority so far, against its limits."""

    limits: Limits
    entries: Sequence[Entry]
    registered: Callable[[Iterable[str]], Mapping[str, str]]

    def refusal(self, name: str, domains: frozenset[str], renewal: bool, now: float) -> SlipwayError | None:
        """Why this certificate is not asked for now."""
        for said, free, hint in self._hits(name, domains, renewal):
            if free > now:
                moment = datetime.fromtimestamp(free, timezone.utc)
                return SlipwayError(
                    f"The certificate {name} was not asked for: {said}. The next one is possible at "
                    f"{moment:%Y-%m-%d %H:%M} UTC.",
                    hint=hint,
                )
        return None

    def _hits(self, name: str, domains: frozenset[str], renewal: bool) -> Iterable[tuple[str, float, str]]:
        told = [entry.retry_at for entry in self.entries if entry.domains == domains]
        yield "the authority said to wait", max(told, default=0.0), "Run again then."
        yield from self._failures(domains)
        yield from self._duplicates(domains)
        if not renewal:  # the authority does not count a certificate for names that it has certified before
            yield from self._per_domain(domains)
        if limit := self.limits.orders:
            times = [entry.at for entry in self.entries if entry.asked and not entry.renewal]
            free = next_at(times, limit, PERIODS["orders"])
            yield f"the authority takes {limit} orders in three hours", free, "Run again then; nothing is lost."

    def _failures(self, domains: frozenset[str]) -> Iterable[tuple[str, float, str]]:
        if limit := self.limits.failures:
            for domain in sorted(domains):
                times = [entry.at for entry in self.entries if domain in entry.failed]
                free = next_at(times, limit, PERIODS["failures"])
                said = f"{domain} failed {limit} times within an hour, and the authority bears no more"
                yield said, free, "Correct the cause that those refusals told (docs/certificates.md), then run again."

    def _duplicates(self, domains: frozenset[str]) -> Iterable[tuple[str, float, str]]:
        if limit := self.limits.duplicates:
            times = [entry.at for entry in self.entries if entry.issued and entry.domains == domains]
            free = next_at(times, limit, PERIODS["duplicates"])
            said = f"it was issued {limit} times within a week, which is all that the authority does for the same names"
            yield said, free, "Keep what is in /etc/letsencrypt, or set letsencrypt_staging while you try things out."

    def _per_domain(self, domains: frozenset[str]) -> Iterable[tuple[str, float, str]]:
        limit = self.limits.certificates_per_domain
        if not limit:
            return
        counted = [entry for entry in self.entries if entry.issued and not entry.renewal]
        if len(counted) < limit:
            return
        registered = self.registered(sorted(domains.union(*(entry.domains for entry in counted))))
        for domain in sorted({registered[one] for one in domains if one in registered}):
            times = [entry.at for entry in counted if any(registered.get(one) == domain for one in entry.domains)]
            said = f"{limit} certificates for names in {domain} were issued within a week, and more are refused"
            free = next_at(times, limit, PERIODS["certificates_per_domain"])
            yield said, free, "One wildcard certificate serves all subdomains of tenants: see tenants_wildcard."
