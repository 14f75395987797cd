# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a certificate has to be obtained, and with which arguments. Pure: nothing is read and nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .challenge import Method, method
from .lineage import Lineage
from .model import Certificate, Settings


@dataclass(frozen=True)
class Plan:
    certificate: Certificate
    reasons: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    pause: int = 0
    # what was found, and whether Nginx has a copy of any certificate of that name
    found: Lineage | None = None
    served: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.reasons)

    @property
    def relink(self) -> int:
        return self.found.relink if self.found else 0

    @property
    def is_broken(self) -> bool:
        return bool(self.found and self.found.fault)


@dataclass(frozen=True)
class Copy:
    """What Nginx has of a certificate: whether it is what is live, and its names."""

    current: bool = True
    domains: frozenset[str] = frozenset()
    exists: bool = True


def plan(
    wanted: Certificate,
    found: Lineage | None,
    settings: Settings,
    now: datetime,
    copy: Copy | None = None,
    *,
    wish: str = "",
) -> Plan:
    copy = copy or Copy()
    usable = found if found and not found.fault else None
    before = tuple(sorted(usable.domains if usable else copy.domains))
    argv: tuple[str, ...] = ()
    if not wanted.present:
        if not found and not copy.exists:
            return Plan(wanted)
        argv = delete(wanted, settings) if usable else ()
        return Plan(wanted, ("no longer wanted",), argv, before, found=found, served=copy.exists)
    way = method(wanted, settings)
    reasons = issue_reasons(wanted, found, settings, way, now)
    reasons += [wish] if wish else []
    if reasons:
        same_names = usable is not None and usable.domains == set(wanted.domains)
        argv = certonly(wanted, settings, way, force=same_names)
    if found and found.relink:
        reasons.append("what is live of it is damaged")
    elif not reasons and not copy.current:
        reasons.append("Nginx has not been given it yet")
    return Plan(wanted, tuple(reasons), argv, before, way.pause, found, copy.exists)


def issue_reasons(
    wanted: Certificate, found: Lineage | None, settings: Settings, way: Method, now: datetime
) -> list[str]:
    if found is None:
        return ["there is none yet"]
    if found.fault:
        return [found.fault]
    reasons = []
    if added := sorted(set(wanted.domains) - found.domains):
        reasons.append(f"it lacks {', '.join(added)}")
    if surplus := sorted(found.domains - set(wanted.domains)):
        reasons.append(f"it has {', '.join(surplus)} too many")
    if found.not_after <= now:
        reasons.append(f"it ended on {found.not_after:%Y-%m-%d %H:%M} UTC")
    if found.server != settings.server:
        reasons.append(f"it comes from {found.server or 'an unknown authority'}")
    if found.authenticator != way.authenticator:
        reasons.append(f"it is renewed with {found.authenticator or 'nothing'} and not with {way.authenticator}")
    else:
        reasons += [
            f"it is renewed with {key} {found.parameters.get(key) or 'unset'} and not {value}"
            for key, value in way.kept.items()
            if found.parameters.get(key) != value
        ]
    if found.key_type != settings.key_type:
        reasons.append(f"its key is {found.key_type.upper()}")
    return reasons


def certonly(wanted: Certificate, settings: Settings, way: Method, *, force: bool) -> tuple[str, ...]:
    argv = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--config-dir", settings.config_dir]
    # The hooks of renewals would have Nginx reloaded for each one of a list.
    argv += ["--no-directory-hooks"]
    argv += ["--server", settings.server]
    argv += ["--email", settings.email, "--no-eff-email"] if settings.email else ["--register-unsafely-without-email"]
    argv += [*way.argv, "--key-type", settings.key_type]
    argv += ["--elliptic-curve", settings.elliptic_curve] if settings.key_type == "ecdsa" else []
    argv += ["--cert-name", wanted.name, "--renew-with-new-domains"]
    argv += ["--force-renewal"] if force else []
    for name in wanted.domains:
        argv += ["--domain", name]
    return tuple(argv)


def delete(wanted: Certificate, settings: Settings) -> tuple[str, ...]:
    argv = ["certbot", "delete", "--non-interactive", "--config-dir", settings.config_dir]
    return (*argv, "--cert-name", wanted.name)
