# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the inventory's variables to the probes that prove that what they describe is there.

Inside probes run on the host and take the way through its own Nginx; outside probes run on the controller and take the
way that visitors take. Comparing the two tells a broken service from a broken way to it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..certbot.pair import DIRECTORY
from ..release import nginx, spec
from ..release.expectation import Expectation

Probes = list[dict[str, Any]]
Variables = Mapping[str, Any]

INSIDE = "inside"
OUTSIDE = "outside"
TENANTS = "tenants"
LOOPBACK = "127.0.0.1"
REDIS_PORT = 6379
# The library that speaks S3 takes a second to load on a small server, and a bucket is far away.
BUCKET_SECONDS = 20


@dataclass(frozen=True)
class Site:
    """A host name with the path that says whether it is well."""

    host: str
    health: Expectation
    tenant: str = ""

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.health.path}"


def derive(variables: Variables) -> dict[str, Any]:
    """The probes for both views, and the sites as a person calls them."""
    sites = list(_sites(variables))
    inside = [
        *_https(sites, INSIDE, variables.get("health_ca_file"), LOOPBACK),
        *_redirects(variables),
        *_certificates(sites, variables),
        *_database(variables),
        *_redis(variables),
        *_containers(variables),
        *_backup(variables),
        *_sign_ups(variables),
        *_units(variables),
        *_resources(variables),
        *(variables.get("health_probes") or []),
    ]
    return {"inside": inside, "outside": list(_outside(sites, variables)), "sites": _table(sites, variables)}


def _sites(variables: Variables) -> Iterator[Site]:
    """One site per host and health path, in the order of the routes."""
    seen: set[str] = set()
    given = variables.get("stack_routes") or []
    routes, static = spec.places(given, str(variables.get("stack_domain") or ""))
    # Where another route's service would answer, this one is asked on its own path.
    asked = [(r.host, r.health if nginx.asked_through(routes, r) else Expectation(r.path)) for r in routes]
    asked += [(r.host, Expectation(r.path)) for r in static]
    for name, health in asked:
        for host, tenant in _hosts(name, variables):
            site = Site(host, health, tenant)
            if site.url not in seen:
                seen.add(site.url)
                yield site


def _hosts(host: str, variables: Variables) -> Iterator[tuple[str, str]]:
    if host != TENANTS:
        yield host, ""
        return
    for tenant in variables.get("tenant_hosts") or []:
        for name in tenant["hosts"]:
            yield str(name), str(tenant["slug"])


def _https(sites: Sequence[Site], view: str, ca_file: Any, address: Any) -> Iterator[dict[str, Any]]:
    for site in sites:
        probe = {
            "name": _named(view, site.url),
            "type": "http",
            "target": site.url,
            "status": list(site.health.status),
            "group": view,
        }
        expected = {"body_matches": site.health.body, "header_matches": dict(site.health.headers) or None}
        yield _filled(probe, address=address, ca_file=ca_file, **expected)


def _named(view: str, name: str) -> str:
    return name if view == INSIDE else f"{view}: {name}"


def _filled(probe: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The probe with those of the further options that have a value."""
    return {**probe, **{key: value for key, value in more.items() if value not in (None, "")}}


def _redirects(variables: Variables) -> Iterator[dict[str, Any]]:
    domain = variables.get("stack_domain")
    if domain and variables.get("stack_routes"):
        yield {
            "name": f"http://{domain}/ leads to HTTPS",
            "type": "http",
            "target": f"http://{domain}/",
            "address": LOOPBACK,
            "status": ["301", "302", "307", "308"],
            "header_matches": {"Location": "^https://"},
            "group": INSIDE,
        }


def _certificates(sites: Sequence[Site], variables: Variables) -> Iterator[dict[str, Any]]:
    """Expiry of every host's certificate: a site may answer well today and not next week."""
    limits = {key: variables.get(f"health_certificate_{key}") for key in ("warn_days", "fail_days")}
    for host in dict.fromkeys(site.host for site in sites):
        probe = {"name": f"certificate of {host}", "type": "tls", "target": host, "address": LOOPBACK, "group": INSIDE}
        yield _filled(probe, ca_file=variables.get("health_ca_file"), **limits)
    if variables.get("health_certificates"):
        # Also those of sign-ups and of sites that no variable here names.
        probe = {"name": "certificates of this host", "type": "certificates", "target": DIRECTORY, "group": INSIDE}
        yield _filled(probe, **limits)


def _data_container(variables: Variables, service: str) -> str:
    return f"{variables['stack_name']}-data-{service}-1"


def _database(variables: Variables) -> Iterator[dict[str, Any]]:
    database = variables.get("stack_database") or {}
    if not database:
        return
    probe = {
        "name": f"database {database.get('name') or 'postgres'}",
        "type": "postgres",
        "target": "" if database.get("service") else database.get("host"),
        "group": INSIDE,
    }
    yield _filled(
        probe,
        login_container=_data_container(variables, database["service"]) if database.get("service") else None,
        login_port=database.get("port"),
        login_user=database.get("user"),
        login_password=database.get("password"),
        login_db=database.get("name"),
        ssl_mode=database.get("sslmode"),
        ca_cert=database.get("ca_cert"),
    )


def _redis(variables: Variables) -> Iterator[dict[str, Any]]:
    redis = variables.get("health_redis") or {}
    if not redis:
        return
    service = redis.get("service")
    probe = {
        "name": f"Redis {service or redis.get('host')}",
        "type": "redis",
        "target": redis.get("host") or "",
        "group": INSIDE,
    }
    yield _filled(
        probe,
        login_container=_data_container(variables, service) if service else None,
        login_port=redis.get("port"),
        login_user=redis.get("user"),
        login_password=redis.get("password"),
    )


def _containers(variables: Variables) -> Iterator[dict[str, Any]]:
    stack = variables.get("stack_name")
    if not stack:
        return
    data = list(variables.get("stack_data_services") or [])
    routed = [route["service"] for route in variables.get("stack_routes") or [] if not spec.is_static(route)]
    application = [*routed, *(variables.get("stack_exclusive_services") or [])]
    replicas = variables.get("stack_replicas") or {}
    for service in dict.fromkeys(data):
        yield _container(stack, service, "data", 1)
    for service in dict.fromkeys(application):
        if service not in data:
            yield _container(stack, service, "active", int(replicas.get(service, 1)))


def _container(stack: str, service: str, slot: str, count: int) -> dict[str, Any]:
    return {
        "name": f"container {service}",
        "type": "container",
        "target": service,
        "stack": stack,
        "slot": slot,
        "count": count,
        "group": INSIDE,
    }


def _backup(variables: Variables) -> Iterator[dict[str, Any]]:
    stack = variables.get("stack_name")
    if not stack or not variables.get("health_backup"):
        return
    yield {"name": "last backup", "type": "backup_age", "target": stack, "group": INSIDE}
    if variables.get("health_backup_bucket"):
        stored = {"type": "backup_stored", "target": stack, "timeout": BUCKET_SECONDS, "group": INSIDE}
        yield {"name": "last backup in the bucket", **stored}
    for work in ("backup", "verify", "backup-check"):
        unit = f"slipway-{work}@{stack}.timer"
        yield {"name": unit, "type": "systemd", "target": unit, "enabled": True, "group": INSIDE}
    if variables.get("health_drill"):
        yield {"name": "last drill", "type": "restore_age", "target": stack, "group": INSIDE}
        unit = f"slipway-drill@{stack}.timer"
        yield {"name": unit, "type": "systemd", "target": unit, "enabled": True, "group": INSIDE}
    for kind in variables.get("health_backup_kinds") or []:
        probe = {"name": f"last backup of {kind}", "type": "backup_age", "target": stack, "group": INSIDE, "kind": kind}
        yield probe
        unit = f"slipway-backup-{kind}@{stack}.timer"
        yield {"name": unit, "type": "systemd", "target": unit, "enabled": True, "group": INSIDE}
    if variables.get("health_wal"):
        base = {"type": "backup_age", "target": stack, "kind": "base", "group": INSIDE}
        yield {"name": "last base backup", **base}
        yield {"name": "log in the bucket", "type": "wal_lag", "target": stack, "group": INSIDE}


def _sign_ups(variables: Variables) -> Iterator[dict[str, Any]]:
    if variables.get("stack_name") and variables.get("health_sign_ups"):
        yield {"name": "sign-ups", "type": "tenants", "target": variables["stack_name"], "group": INSIDE}


def _units(variables: Variables) -> Iterator[dict[str, Any]]:
    """Units are names, or mappings with the name as `unit` and options of the probe."""
    for entry in variables.get("health_units") or []:
        options = {"unit": entry} if isinstance(entry, str) else dict(entry)
        unit = options.pop("unit")
        yield {"name": unit, "type": "systemd", "target": unit, "group": INSIDE, **options}


def _resources(variables: Variables) -> Iterator[dict[str, Any]]:
    for path in variables.get("health_disks") or []:
        yield {"name": f"disk {path}", "type": "disk", "target": path, "group": INSIDE}
    yield {"name": "memory", "type": "memory", "group": INSIDE}


def _outside(sites: Sequence[Site], variables: Variables) -> Iterator[dict[str, Any]]:
    address = variables.get("health_outside_address")
    yield from _https(sites, OUTSIDE, variables.get("health_outside_ca_file"), address)
    if not address:
        yield from _names(sites)
    place = address or variables.get("stack_domain")
    for name, port in _private_ports(variables):
        probe = {"type": "tcp", "target": f"{place}:{port}", "open": False, "connect_timeout": 2, "group": OUTSIDE}
        yield {"name": f"outside: {name} is closed (port {port})", **probe}


def _names(sites: Sequence[Site]) -> Iterator[dict[str, Any]]:
    """Where each name leads: with it, a site that fails outside only can be explained."""
    for host in dict.fromkeys(site.host for site in sites):
        yield {"name": f"{OUTSIDE}: name {host}", "type": "dns", "target": host, "group": OUTSIDE}


def _private_ports(variables: Variables) -> Iterator[tuple[str, int]]:
    """Ports of this host's own data services, which nobody outside may reach."""
    database = variables.get("stack_database") or {}
    if database.get("service"):
        yield "database", int(database.get("port") or 5432)
    redis = variables.get("health_redis") or {}
    if redis.get("service"):
        yield "Redis", int(redis.get("port") or REDIS_PORT)


def _table(sites: Sequence[Site], variables: Variables) -> list[list[str]]:
    """Each site with the command that shows it."""
    return [[site.tenant or "-", site.url, _curl(site, variables)] for site in sites]


def _curl(site: Site, variables: Variables) -> str:
    words = ["curl"]
    if variables.get("health_outside_ca_file"):
        words += ["--cacert", str(variables["health_outside_ca_file"])]
    if variables.get("health_outside_address"):
        words += ["--resolve", f"{site.host}:443:{variables['health_outside_address']}"]
    return shlex.join([*words, site.url])
