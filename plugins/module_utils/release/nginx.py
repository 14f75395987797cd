# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Nginx text of a stack. Pure: routes and ports in, files out.

The server blocks (names, certificates) belong to role `nginx`; each includes one of the host files rendered here. Both
slots are always there, and a flag file chooses between them, so that moving the traffic reloads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .paths import SLOTS, StackPaths
from .spec import ADDRESS, COOKIE, TENANTS, Route, Spec, Static

HEADER = "# Written by Slipway at each release that changes it. Changes made by hand are lost.\n"
RELEASE_PATH = "/.well-known/slipway/release"
CONFIG_PATH = "/.well-known/slipway/config"
CONFIG_HEADER = "X-Slipway-Config"
NOWHERE = "server 127.0.0.1:9 down;"
CONFIG_MARK = "@CONFIG@"
# While this file is there, every answer closes its connection: see edge.closing. A flag, gone after a reboot.
CLOSING = Path("/run/slipway-nginx-closing")
# A status of no meaning, which only leads from a location to its twin.
TO_THE_TWIN = 418
# Shared by all sites and written by role nginx: forwarded headers as far as they are trusted, security headers.
SNIPPETS = "/etc/nginx/slipway/snippets"

Upstreams = Mapping[str, Mapping[str, list[int]]]  # slot -> route -> ports


def render(spec: Spec, paths: StackPaths, upstreams: Upstreams) -> dict[Path, str]:
    """Every file of the stack, by path."""
    files = {}
    if spec.routes:
        files[paths.nginx / "upstreams.conf"] = HEADER + _upstreams_text(spec, upstreams)
    for host in sorted({route.host for route in spec.places}):
        routes = [route for route in spec.routes if route.host == host]
        static = [route for route in spec.static if route.host == host]
        files[paths.nginx / "hosts" / f"{host}.conf"] = HEADER + _host_text(spec, paths, routes, static)
    mark = checksum(files)
    return {path: text.replace(CONFIG_MARK, mark) for path, text in files.items()}


def checksum(files: Mapping[Path, str]) -> str:
    """Of all files together; Nginx serves it, which proves what it has loaded."""
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{text}\0".encode())
    return digest.hexdigest()[:16]


def config_of(files: Mapping[Path, str]) -> str:
    """The checksum inside rendered files."""
    marks = (
        line.split()[2].rstrip(";") for text in files.values() for line in text.splitlines() if CONFIG_HEADER in line
    )
    return next(marks, "")


def _upstreams_text(spec: Spec, upstreams: Upstreams) -> str:
    blocks = []
    for route in spec.routes:
        if route.rate_limit:
            zone = _zone(spec.stack, route)
            blocks.append(f"limit_req_zone $binary_remote_addr zone={zone}:10m rate={route.rate_limit};\n")
        if route.sticky == COOKIE:
            blocks.append(_cookie_maps(spec.stack, route))
        for slot in SLOTS:
            ports = upstreams.get(slot, {}).get(route.name, [])
            blocks.append(_upstream(spec.stack, route, slot, ports))
    return "\n".join(blocks)


def _upstream(stack: str, route: Route, slot: str, ports: Sequence[int]) -> str:
    key = {ADDRESS: "$remote_addr", COOKIE: f"${_cookie(stack, route)}_key"}.get(route.sticky)
    lines = [f"hash {key} consistent;"] if key else []
    # A server that cannot be reached is tried again at once: it is the only one, or its neighbours take over.
    lines += [f"server 127.0.0.1:{port} max_fails=0;" for port in ports] or [NOWHERE]
    body = "".join(f"    {line}\n" for line in lines)
    return f"upstream {stack}_{route.name}_{slot} {{\n{body}}}\n"


def _cookie(stack: str, route: Route) -> str:
    """The name of the cookie, which has to be fit for an Nginx variable; a stack's or route's name may not be."""
    return f"slipway_{hashlib.sha256(f'{stack}/{route.name}'.encode()).hexdigest()[:8]}"


def _cookie_maps(stack: str, route: Route) -> str:
    """Who comes without a cookie is given one, and is led by it from the first request on."""
    cookie = _cookie(stack, route)
    attributes = "Path=/; Secure; HttpOnly; SameSite=Lax"
    return f"""map $cookie_{cookie} ${cookie}_key {{
    "" $request_id;
    default $cookie_{cookie};
}}
map $cookie_{cookie} ${cookie}_set {{
    "" "{cookie}=$request_id; {attributes}";
    default "";
}}
"""


def _zone(stack: str, route: Route) -> str:
    return f"{stack}_{route.name}"


def _host_text(spec: Spec, paths: StackPaths, routes: Sequence[Route], static: Sequence[Static]) -> str:
    parts = [
        f"""# Whether a flag is there must be looked up for every request.
open_file_cache off;

set $slipway_slot blue;
if (-f {paths.flag}) {{
    set $slipway_slot green;
}}
set $slipway_maintenance "";
if (-f {paths.maintenance}) {{
    set $slipway_maintenance on;
}}
if ($remote_addr = 127.0.0.1) {{
    set $slipway_maintenance "";
}}

set $slipway_closing "";
if (-f {CLOSING}) {{
    set $slipway_closing on;
}}
# An error page after another one: first to the twin of a location, then to the page of an application that is down.
recursive_error_pages on;

location @slipway_unavailable {{
    internal;
    root {paths.pages};
    include {SNIPPETS}/headers.conf;
    add_header Retry-After 120 always;
    add_header Cache-Control no-store always;
    try_files /maintenance.html =503;
}}

location = {RELEASE_PATH} {{
    allow 127.0.0.1;
    allow ::1;
    deny all;
    default_type application/json;
    add_header Cache-Control no-store;
    alias {paths.root}/slots/$slipway_slot;
}}

location = {CONFIG_PATH} {{
    allow 127.0.0.1;
    allow ::1;
    deny all;
    default_type text/plain;
    add_header {CONFIG_HEADER} {CONFIG_MARK};
    alias {paths.loaded};
}}
"""
    ]
    claimed = {match: route for route in static for match in matches(route.path)}
    of_services = {location.match: location for location in locations(routes, claimed)}
    for number, match in enumerate([*of_services, *(match for match in claimed if match not in of_services)], 1):
        location = of_services.get(match)
        lines = _service(spec, location) if location else _files(paths, claimed[match])
        maintenance = location is None or location.maintenance
        parts.append(_location(match, f"@slipway_closing_{number}", lines, maintenance=maintenance))
    return "\n".join(parts)


class Location(NamedTuple):
    """What is answered at one place of a host."""

    match: str
    route: Route
    maintenance: bool = True  # closes it
    internal: bool = False  # for this host alone


def locations(routes: Sequence[Route], claimed: Collection[str] = ()) -> list[Location]:
    """The locations of one host, each once; `claimed` are those that no service answers.

    A health path gets a location of its own, unless another route claims that very path. What is internal stays so,
    whoever else names it.
    """
    inside = [Location(match, r, False, True) for r in routes for path in r.internal_paths for match in matches(path)]
    found = {location.match: location for location in inside}
    taken = {*claimed, *(match for route in routes for match in matches(route.path))}
    for route in routes:
        health = _health_match(route)
        if health != "= /" and health not in taken:
            found.setdefault(health, Location(health, route, maintenance=False))
        for match in matches(route.path):
            found.setdefault(match, Location(match, route))
    return list(found.values())


def _health_match(route: Route) -> str:
    return f"= {route.health.path.split('?', 1)[0]}"


def leads_to(routes: Sequence[Route], path: str) -> Route | None:
    """The route that a path of one host ends at."""
    path = path.split("?", 1)[0]
    by_match = {location.match: location.route for location in locations(routes)}
    prefixes = [match for match in by_match if match.startswith("^~ ") and path.startswith(match[3:])]
    for match in (f"= {path}", *sorted(prefixes, key=len, reverse=True), "/"):
        if match in by_match:
            return by_match[match]
    return None


def asked_through(routes: Sequence[Route], route: Route) -> bool:
    """Whether Nginx leads the route's health path to the route itself: only then its answer tells about it."""
    return leads_to([other for other in routes if other.host == route.host], route.health.path) == route


def matches(path: str) -> list[str]:
    """The locations of a path prefix: whole path segments, so that /api does not catch /apiary."""
    if path == "/":
        return ["/"]
    if path.endswith("/"):
        return [f"^~ {path}"]
    return [f"= {path}", f"^~ {path}/"]


def _location(match: str, twin: str, lines: Sequence[str], *, maintenance: bool) -> str:
    """A location, and its twin that closes the connection after the answer."""
    first = []
    if maintenance:
        first += ["if ($slipway_maintenance) {", "    return 503;", "}"]
    first += ["if ($slipway_closing) {", f"    return {TO_THE_TWIN};", "}", f"error_page {TO_THE_TWIN} = {twin};"]
    return _block(_quoted(match), [*first, *lines]) + "\n" + _block(twin, ["keepalive_timeout 0;", *lines])


def _service(spec: Spec, location: Location) -> list[str]:
    inside = ["allow 127.0.0.1;", "allow ::1;", "deny all;"] if location.internal else []
    return inside + _proxy(spec, location.route, limited=location.maintenance)


def _files(paths: StackPaths, route: Static) -> list[str]:
    """The files of the slot that serves. Browsers ask whether theirs are still the same, so that a release is seen."""
    fallback = f"{route.path.rstrip('/')}/{route.fallback}" if route.fallback else "=404"
    return [
        f"root {paths.static}/$slipway_slot/{route.name};",
        f"include {SNIPPETS}/headers.conf;",
        "add_header Cache-Control no-cache always;",
        f"try_files $uri $uri/index.html {_quoted(fallback)};",
    ]


def _block(match: str, lines: Sequence[str]) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"location {match} {{\n{body}}}\n"


def _proxy(spec: Spec, route: Route, *, limited: bool) -> list[str]:
    lines = []
    if limited and route.rate_limit:
        burst = f" burst={route.rate_burst} nodelay" if route.rate_burst else ""
        lines += [f"limit_req zone={_zone(spec.stack, route)}{burst};", "limit_req_status 429;"]
    if route.max_body_size:
        lines.append(f"client_max_body_size {route.max_body_size};")
    if route.sticky == COOKIE:
        # A location with a header of its own no longer has those of its server.
        lines += [
            f"include {SNIPPETS}/headers.conf;",
            f"add_header Set-Cookie ${_cookie(spec.stack, route)}_set always;",
        ]
    return [
        *lines,
        f"proxy_pass http://{spec.stack}_{route.name}_$slipway_slot;",
        f"include {SNIPPETS}/proxy.conf;",
        f"proxy_read_timeout {route.timeout}s;",
        f"proxy_send_timeout {route.timeout}s;",
        # Never `non_idempotent`: a POST that may have been done is not done again.
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream_tries 2;",
        "error_page 502 503 504 @slipway_unavailable;",
    ]


def _quoted(match: str) -> str:
    """A semicolon would end the directive."""
    operator, _space, path = match.rpartition(" ")
    return f'{operator} "{path}"'.lstrip() if ";" in path else match


def is_tenants(path: Path) -> bool:
    return path.name == f"{TENANTS}.conf"
