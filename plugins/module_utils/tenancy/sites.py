# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates and host names of tenants that signed up.

Certbot is run as role letsencrypt does, and sites are written as role nginx does: role tenants leaves both descriptions
on the host, with a mark where the name and the host name of a site go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..certbot import engine as certbot
from ..certbot import pair
from ..certbot.model import HTTP, Certificate, Settings
from ..certbot.plan import Plan
from ..common import validate
from ..common.errors import SlipwayError
from ..host import files
from ..host.files import FileSet, FileSpec

DIRECTORY = Path("/etc/nginx/slipway/sites")
NAME = "__name__"
HOST = "__host__"
BETWEEN_NAMES = "\n        "
# Certificates are asked for so long in one run; then what there is goes on line, and the next run takes the others.
ASKING_SECONDS = 120.0


class Row(Protocol):
    """What has to be known of a tenant."""

    @property
    def identity(self) -> str: ...
    @property
    def subdomain(self) -> str: ...
    @property
    def custom_domain(self) -> str: ...
    @property
    def slug(self) -> str | None: ...
    @property
    def state(self) -> str | None: ...


@dataclass(frozen=True)
class Site:
    """One host name with a certificate of its own: one that is refused takes no other one along.

    Subdomains may share a certificate that is there already; then they are one server block as well.
    """

    name: str
    host: str
    home: str  # the tenant's subdomain, which is known to lead here; empty if that need not be asked
    state: str
    identity: str
    slug: str
    own: bool = False  # a custom domain
    shared: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"host": self.host, "state": self.state, **({"shared": True} if self.shared else {})}


@dataclass
class Served:
    """What became of the host names: by row why not, and which rows were tried at all."""

    failed: dict[str, str] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    changed: list[str] = field(default_factory=list)


@dataclass
class Sites:
    """The host names of one stack's sign-ups."""

    stack: str
    domain: str
    taken: dict[str, str]
    patterns: Mapping[str, str]
    settings: Settings
    test: tuple[str, ...]
    apply: tuple[tuple[str, ...], ...]
    served: dict[str, Mapping[str, Any]]
    verify: bool = True
    # where subdomains have one certificate in common: their server block, open and suspended
    shared: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_config(cls, stack: str, config: Mapping[str, Any], served: Mapping[str, Any]) -> Sites | None:
        """None for tenants without host names."""
        hosts = config.get("hosts") or {}
        if not hosts:
            return None
        shared = hosts.get("shared") or {}
        return cls(
            stack=stack,
            domain=validate.domain(hosts["domain"]),
            taken=dict.fromkeys(hosts.get("taken") or (), "the stack itself"),
            patterns={"present": hosts["open"], "suspended": hosts["closed"]},
            settings=Settings.from_dict(hosts.get("certbot") or {}),
            test=tuple(hosts["test"]),
            apply=tuple(map(tuple, hosts["apply"])),
            served=dict(served),
            verify=bool(hosts.get("verify", True)),
            shared={"present": shared["open"], "suspended": shared["closed"]} if shared else {},
        )

    @property
    def path(self) -> Path:
        return DIRECTORY / f"sign-ups-{self.stack}.conf"

    def serve(self, rows: Sequence[Row], waiting: set[str], listed: Iterable[str] = ()) -> Served:
        """Bring certificates and sites to what the rows say; rows that wait keep what they have.

        Tenants that are `listed` are the playbook's, and their certificates stay for it.
        """
        done = Served()
        until = time.monotonic() + ASKING_SECONDS
        before, self.served = self.served, {}
        names = {f"{kind}-{self.stack}-{slug}" for slug in listed for kind in ("tenant", "domain")}
        for site in self._wanted(rows, waiting, done):
            names.add(site.name)
            known = before.get(site.name)
            same = known is not None and known["host"] == site.host and self._has_copy(site)
            later = site.identity in waiting or time.monotonic() >= until
            if (known == site.as_dict() and same) or (later and not same and not self._is_certified(site)):
                self.served.update({site.name: known} if known else {})
                continue
            done.tried.add(site.identity)
            # a site that is only opened or closed has its certificate
            error = "" if same or site.shared else self._certify(site)
            if error:
                done.failed.setdefault(site.identity, error)
            else:
                self.served[site.name] = site.as_dict()
                done.changed.append(site.slug)
        self._publish()
        for name in sorted(set(before) - names):
            certbot.converge(self.settings, certbot.plans(self.settings, [Certificate(name, (), present=False)]))
        return done

    def _wanted(self, rows: Sequence[Row], waiting: set[str], done: Served) -> Iterator[Site]:
        """The sites of all rows; a name that nobody may have is refused."""
        taken = dict(self.taken)
        for row in rows:
            home = f"{row.subdomain}.{self.domain}"
            shared = bool(self.shared)
            names = [(f"{'shared' if shared else 'tenant'}-{self.stack}-{row.slug}", home, False)]
            if row.custom_domain:
                names.append((f"domain-{self.stack}-{row.slug}", row.custom_domain, True))
            for name, host, own in names:
                try:
                    checked = self._host(host, own, taken)
                except SlipwayError as error:
                    if row.identity not in waiting:
                        done.failed.setdefault(row.identity, str(error))
                        done.tried.add(row.identity)
                    continue
                taken[checked] = f"tenant {row.slug}"
                leads_to = home if own and self.verify else ""
                state, slug = row.state or "present", row.slug or ""
                yield Site(name, checked, leads_to, state, row.identity, slug, own, shared and not own)

    def _host(self, host: str, own: bool, taken: Mapping[str, str]) -> str:
        """Whoever signs up chooses these names: nobody may get another one's."""
        name = validate.domain(host)
        if own and (name == self.domain or name.endswith(f".{self.domain}")):
            raise SlipwayError(
                f"The custom domain {name} lies in {self.domain}, where tenants have their subdomains.",
                hint="A custom domain has to be one of the tenant's own.",
            )
        if name in taken:
            raise SlipwayError(f"The host name {name} belongs to {taken[name]}.", hint="Choose another one.")
        return name

    def _certificate(self, site: Site) -> list[Plan]:
        # the zone of a custom domain is the tenant's, so nobody here could answer in it
        wanted = Certificate(site.name, (site.host,), challenge=HTTP if site.own else "", home=site.home)
        return certbot.plans(self.settings, [wanted])

    def _certify(self, site: Site) -> str:
        """Why there is no certificate; empty if there is one."""
        (outcome,) = certbot.converge(self.settings, self._certificate(site))
        return outcome.error

    def _is_certified(self, site: Site) -> bool:
        """Whether there is nothing to ask for: a host may have lost its note of what it serves."""
        return site.shared or not any(plan.argv for plan in self._certificate(site))

    def _has_copy(self, site: Site) -> bool:
        """Whether Nginx has something to serve it with."""
        return site.shared or pair.path(self.settings.serving, site.name).exists()

    def _publish(self) -> None:
        """All sites in one file and, if it changed, one reload."""
        alone = [(name, entry) for name, entry in sorted(self.served.items()) if not entry.get("shared")]
        text = "".join(_filled(self.patterns[entry["state"]], name, [entry["host"]]) for name, entry in alone)
        for state, pattern in sorted(self.shared.items()):
            together = [one["host"] for one in self.served.values() if one.get("shared") and one["state"] == state]
            text += _filled(pattern, f"sign-ups-{self.stack}-{state}", sorted(together)) if together else ""
        wanted = (FileSpec(str(self.path), text),) if text else ()
        absent = () if text else (str(self.path),)
        files.converge(FileSet(files=wanted, absent=absent, test=self.test, apply=self.apply))


def _filled(pattern: str, name: str, hosts: Sequence[str]) -> str:
    return pattern.replace(NAME, name).replace(HOST, BETWEEN_NAMES.join(hosts))
