# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted: one release of one stack, checked in full before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..common import validate
from ..common.errors import SlipwayError
from . import expectation
from .expectation import Expectation

TENANTS = "tenants"
ADDRESS, COOKIE = "address", "cookie"
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_ENV = re.compile(r"PATH|HOME|SHELL|RELEASE|(?:DOCKER|COMPOSE|LD|PYTHON|SYSTEMD)_.*")
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ROUTE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
URL_PATH = re.compile(r"/[A-Za-z0-9._~!&*+,;=:@%/-]*")
RATE = re.compile(r"[1-9][0-9]*r/[sm]")
SIZE = re.compile(r"[0-9]+[kKmMgG]?")
RELEASE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
DIGEST = re.compile(r"(?:[^\s@]+@)?(sha256:[0-9a-f]{64})")
# What a route with files of its own cannot have.
OF_SERVICES = ("service", "port", "websocket", "sticky", "rate_limit", "max_body_size", "timeout", "internal_paths")
HOOK_MOMENTS = ("before_migrate", "before_switch", "after_switch")
MAX_PORT = 65535


@dataclass(frozen=True)
class Route:
    """One host and path, and the service that answers there."""

    name: str
    host: str
    path: str
    service: str
    port: int
    health: Expectation = field(default_factory=Expectation)
    websocket: bool = False
    sticky: str = ""  # what keeps a visitor with one replica: address or cookie
    rate_limit: str = ""
    rate_burst: int = 20
    max_body_size: str = ""
    timeout: int = 60
    internal_paths: tuple[str, ...] = ()  # answered to this host alone

    @property
    def claim(self) -> tuple[str, str]:
        """/shop and /shop/ are the same place."""
        return self.host, self.path.rstrip("/")

    @property
    def endpoint(self) -> str:
        """What a block of host ports is allocated for."""
        return f"{self.service}:{self.port}"

    def __str__(self) -> str:
        return f"service {self.service}"


@dataclass(frozen=True)
class Static:
    """One host and path, and the folder of the project directory whose files Nginx itself serves there."""

    name: str
    host: str
    path: str
    root: str
    fallback: str = ""  # what is served where there is no such file

    @property
    def claim(self) -> tuple[str, str]:
        return self.host, self.path.rstrip("/")

    def __str__(self) -> str:
        return f"folder {self.root}"


@dataclass(frozen=True)
class Command:
    """A one-off command in a container of a release; an empty `argv` is the service's own command."""

    service: str
    argv: tuple[str, ...] = ()
    timeout: int = 600


@dataclass(frozen=True)
class Settings:
    """How a release is done. None of it changes what runs, so none of it makes a new release."""

    lock_wait: float = 60
    retain: int = 5
    health_timeout: float = 120
    probe_timeout: float = 30
    probe_successes: int = 3
    boot_cpu_shares: int = 128
    observe: float = 5
    drain_http: float = 30
    drain_websocket: float = 60
    min_free_disk_mb: int = 1024
    min_free_memory_mb: int = 128
    force: bool = False
    rollback_to: str = ""
    rollback_from: int = 0
    rollback_secrets: str = "current"
    data_upgrade: str = ""
    adopt_project: str = ""
    adopt_without: tuple[str, ...] = ()
    requested_by: str = ""
    migrate_dump: bool = False


@dataclass(frozen=True)
class Spec:
    """Everything that decides what runs."""

    stack: str
    domain: str
    compose: str
    release: str
    # Images that another environment has released, by service; their tags are not asked for.
    digests: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    routes: tuple[Route, ...] = ()
    static: tuple[Static, ...] = ()
    replicas: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data_services: tuple[str, ...] = ()
    exclusive_services: tuple[str, ...] = ()
    migrate: Command | None = None
    hooks: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    contract: bool = False
    log_max_size: str = "10m"
    log_max_files: int = 5

    @property
    def values(self) -> dict[str, str]:
        """The variables that the Compose file may use."""
        return {**self.env, **self.secrets, "RELEASE": self.release}

    @property
    def places(self) -> tuple[Route | Static, ...]:
        """All routes, whoever answers."""
        return (*self.routes, *self.static)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The concrete host names of the routes."""
        return tuple(sorted({route.host for route in self.places if route.host != TENANTS}))

    def public(self) -> dict[str, Any]:
        """The specification as it is stored and shown: without the secrets."""
        data = asdict(self)
        del data["secrets"]
        for shown, route in zip(data["routes"], self.routes, strict=True):
            shown["health"] = expectation.plain(route.health)
            # What was not there before is left out where it is not used, so that a release stays the same one.
            if not route.internal_paths:
                del shown["internal_paths"]
        for name in ("digests", "static"):
            if not data[name]:
                del data[name]
        return data


def parse(request: Mapping[str, Any]) -> Spec:
    """Read a request (the parameters of module compose_release, or a stored release)."""
    domain = validate.domain(_text(request, "domain"))
    release = _text(request, "release")
    if not RELEASE_NAME.fullmatch(release):
        raise SlipwayError(
            f"The release {release!r} is not a name that an image tag can have.",
            hint="Use letters, digits, dots, hyphens and underscores, for example 1.4.2.",
        )
    if not str(request.get("compose") or "").strip():
        raise SlipwayError("The Compose file is empty.", hint="Set stack_compose_file to the team's Compose file.")
    env = _variables("env", request.get("env"))
    secrets = _variables("secrets", request.get("secrets"))
    # A stored release has its static routes apart, what people write has all in one list.
    services, static = places([*(request.get("routes") or []), *(request.get("static") or [])], domain)
    twice = sorted(set(env) & set(secrets))
    if twice:
        raise SlipwayError(f"{twice[0]} is in both env and secrets.", hint="Keep it in one of them.")
    return Spec(
        stack=validate.stack_name(_text(request, "stack")),
        domain=domain,
        compose=str(request["compose"]),
        release=release,
        digests=_digests(request.get("digests")),
        env=env,
        secrets=secrets,
        routes=services,
        static=static,
        replicas=_replicas(request.get("replicas") or {}),
        limits=_limits(request.get("limits") or {}),
        data_services=_services("data_services", request.get("data_services")),
        exclusive_services=_services("exclusive_services", request.get("exclusive_services")),
        migrate=_command("migrate", request["migrate"]) if request.get("migrate") else None,
        hooks=_hooks(request.get("hooks") or {}),
        files=_files(request.get("files") or {}),
        contract=bool(request.get("contract")),
        log_max_size=_size("log_max_size", request.get("log_max_size") or "10m"),
        log_max_files=_whole("log_max_files", request.get("log_max_files", 5), 1),
    )


def settings(request: Mapping[str, Any]) -> Settings:
    """How to do it, from the same request."""
    defaults = Settings()
    given: dict[str, Any] = {}
    for name, default in asdict(defaults).items():
        value = request.get(name)
        if value is None:
            continue
        if isinstance(default, bool):
            given[name] = bool(value)
        elif isinstance(default, (int, float)):
            given[name] = _number(name, value)
        elif isinstance(default, tuple):
            given[name] = _services(name, value)
        else:
            given[name] = str(value)
    wish = Settings(**given)
    if wish.retain < 2:
        raise SlipwayError("retain is below 2, which leaves nothing to roll back to.", hint="Use 2 or more.")
    if wish.probe_successes < 1:
        raise SlipwayError("probe_successes is below 1.", hint="Use 1 or more; 3 is the default.")
    return wish


def _text(request: Mapping[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool) or value == "":
        raise SlipwayError(
            f"The {key} of the stack is missing.", hint=f"Set stack_{key if key != 'stack' else 'name'}."
        )
    return str(value)


def _variables(what: str, given: Any) -> dict[str, str]:
    if given is not None and not isinstance(given, Mapping):
        raise SlipwayError(f"The {what} of the stack is not a dictionary.", hint="Write it as NAME: value pairs.")
    variables: dict[str, str] = {}
    for name, value in (given or {}).items():
        if not ENV_NAME.fullmatch(str(name)):
            raise SlipwayError(
                f"The name {name!r} in {what} is not the name of an environment variable.",
                hint="Use letters, digits and underscores, not starting with a digit.",
            )
        if RESERVED_ENV.fullmatch(str(name)):
            raise SlipwayError(
                f"The name {name} in {what} is reserved: it would steer Docker Compose itself.",
                hint="Choose another name in the Compose file.",
            )
        if isinstance(value, (Mapping, list, tuple)):
            raise SlipwayError(f"The value of {name} in {what} is not a text or a number.", hint="Put it in quotes.")
        variables[str(name)] = _scalar(value)
        if "\0" in variables[str(name)]:
            raise SlipwayError(f"The value of {name} in {what} contains a NUL byte.", hint="Remove it.")
    return variables


def _digests(given: Any) -> dict[str, str]:
    """By service; a name before the digest may be that of another registry, so only the digest counts."""
    if given is not None and not isinstance(given, Mapping):
        raise SlipwayError("The digests of the stack are not a dictionary.", hint="Write them as SERVICE: DIGEST.")
    found: dict[str, str] = {}
    for service, value in (given or {}).items():
        digest = DIGEST.fullmatch(str(value))
        if not digest:
            raise SlipwayError(
                f"The digest {str(value)!r} of {service} is not the digest of an image.",
                hint="Write it like sha256:0123... (64 digits), as playbook promote.yml does.",
            )
        found[str(service)] = digest[1]
    return found


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def routes(entries: Sequence[Mapping[str, Any]], domain: str) -> tuple[Route, ...]:
    """The routes to services, as people wrote them."""
    return places(entries, domain)[0]


def places(entries: Sequence[Mapping[str, Any]], domain: str) -> tuple[tuple[Route, ...], tuple[Static, ...]]:
    """The routes, sorted by who answers: a service, or Nginx itself with files."""
    found: list[Route | Static] = []
    for entry in entries:
        taken = {known.name for known in found}
        route = _static(entry, domain, taken) if entry.get("root") else _route(entry, domain, taken)
        clash = next((known for known in found if known.claim == route.claim), None)
        if clash:
            raise SlipwayError(
                f"Two routes claim {route.host}{route.path} ({clash} and {route}).",
                hint="Give one of them another host or path.",
            )
        found.append(route)
    services = tuple(route for route in found if isinstance(route, Route))
    return services, tuple(route for route in found if isinstance(route, Static))


def is_static(entry: Mapping[str, Any]) -> bool:
    """Whether a route, as it was written, leads to files and not to a service."""
    return bool(entry.get("root"))


def _refuse_unknown(entry: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = sorted(name for name in set(entry) - set(known) if entry[name] not in (None, "", []))
    if unknown:
        raise SlipwayError(
            f"A route has the unknown key {unknown[0]!r}.", hint=f"Known keys: {', '.join(sorted(known))}."
        )


def _name(entry: Mapping[str, Any], otherwise: str, taken: set[str]) -> str:
    name = str(entry.get("name") or "") or _free_name(otherwise.lower().replace(".", "-").replace("/", "-"), taken)
    if not ROUTE_NAME.fullmatch(name) or name in taken:
        raise SlipwayError(
            f"The route name {name!r} is used twice or is not a plain name.",
            hint="Use lower-case letters, digits, hyphens and underscores, each name once.",
        )
    return name


def _host(entry: Mapping[str, Any], domain: str) -> str:
    host = str(entry.get("host") or domain)
    return TENANTS if host == TENANTS else validate.domain(host)


def _static(entry: Mapping[str, Any], domain: str, taken: set[str]) -> Static:
    _refuse_unknown(entry, {*Route.__dataclass_fields__, *Static.__dataclass_fields__})
    given = [name for name in OF_SERVICES if entry.get(name)]
    if given:
        raise SlipwayError(
            f"A route has both root and {given[0]}.",
            hint="Nginx answers it with the files of root, or a service does: leave one of them out.",
        )
    root = PurePosixPath(str(entry["root"]))
    if root.is_absolute() or ".." in root.parts or not root.parts:
        raise SlipwayError(
            f"The root {entry['root']!r} is outside the project directory.", hint="Use a relative path, such as web."
        )
    name = _name(entry, str(root), taken)
    fallback = str(entry.get("fallback") or "")
    if fallback and not FILE_NAME.fullmatch(fallback):
        raise SlipwayError(
            f"The fallback {fallback!r} of route {name} is not a file of its folder.", hint="For example index.html."
        )
    return Static(
        name=name,
        host=_host(entry, domain),
        path=_path(f"path of route {name}", entry.get("path") or "/"),
        root=str(root),
        fallback=fallback,
    )


def _route(entry: Mapping[str, Any], domain: str, taken: set[str]) -> Route:
    _refuse_unknown(entry, Route.__dataclass_fields__)
    service = str(entry.get("service") or "")
    if not SERVICE.fullmatch(service):
        raise SlipwayError(
            f"A route names no service ({dict(entry)!r}).", hint="Set service to one of the Compose file."
        )
    port = _whole(f"port of the route to {service}", entry.get("port"), 1)
    if port > MAX_PORT:
        raise SlipwayError(f"The port {port} of the route to {service} is no port.", hint="Use 1 to 65535.")
    name = _name(entry, f"{service}-{port}", taken)
    path = _path(f"path of route {name}", entry.get("path") or "/")
    websocket = bool(entry.get("websocket"))
    rate = str(entry.get("rate_limit") or "")
    if rate and not RATE.fullmatch(rate):
        raise SlipwayError(
            f"The rate_limit {rate!r} of route {name} is not a rate.", hint="Write it like 10r/s or 60r/m."
        )
    size = str(entry.get("max_body_size") or "")
    return Route(
        name=name,
        host=_host(entry, domain),
        path=path,
        service=service,
        port=port,
        health=expectation.parse(f"health of route {name}", entry.get("health")),
        websocket=websocket,
        sticky=_sticky(name, entry.get("sticky")),
        rate_limit=rate,
        rate_burst=_whole(f"rate_burst of route {name}", entry.get("rate_burst", 20), 0),
        max_body_size=_size(f"max_body_size of route {name}", size) if size else "",
        timeout=_whole(f"timeout of route {name}", entry.get("timeout") or (3600 if websocket else 60), 1),
        internal_paths=_internal(name, path, entry.get("internal_paths")),
    )


def _internal(route: str, path: str, given: Any) -> tuple[str, ...]:
    """Paths below the route's own: those of another route are not this one's to close."""
    if isinstance(given, str) or (given is not None and not isinstance(given, Sequence)):
        raise SlipwayError(f"The internal_paths of route {route} are no list.", hint="Write them like [/metrics].")
    found = tuple(dict.fromkeys(_path(f"internal path of route {route}", one) for one in given or ()))
    for one in found:
        if not f"{one.rstrip('/')}/".startswith(f"{path.rstrip('/')}/"):
            raise SlipwayError(
                f"The internal path {one} is not below {path}, the path of route {route}.",
                hint="Name it in the route that it belongs to.",
            )
    return found


def _sticky(route: str, value: Any) -> str:
    """A plain `true` means the address of the client."""
    if isinstance(value, bool) or not value:
        return ADDRESS if value else ""
    if value not in (ADDRESS, COOKIE):
        raise SlipwayError(
            f"The sticky of route {route} is {value!r}.", hint="Use address, cookie or false; true means address."
        )
    return str(value)


def _free_name(base: str, taken: set[str]) -> str:
    names = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _path(what: str, value: Any) -> str:
    text = str(value)
    if not URL_PATH.fullmatch(text):
        raise SlipwayError(
            f"The {what} is {text!r}, which is not a path.", hint="Start it with / and leave out spaces."
        )
    return text


def _size(what: str, value: Any) -> str:
    if not SIZE.fullmatch(str(value)):
        raise SlipwayError(f"The {what} is {value!r}, which is not a size.", hint="Write it like 5m.")
    return str(value)


def _whole(what: str, value: Any, least: int) -> int:
    number = _number(what, value)
    if number != int(number) or number < least:
        raise SlipwayError(f"The {what} is {value!r}.", hint=f"Use a whole number, at least {least}.")
    return int(number)


def _number(what: str, value: Any) -> float | int:
    if isinstance(value, bool) or value is None:
        raise SlipwayError(f"The {what} is missing or not a number.", hint="Give it a number.")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise SlipwayError(f"The {what} is {value!r}, which is not a number.", hint="Give it a number.") from None
    if not 0 <= number < 1e9:
        raise SlipwayError(f"The {what} is {value!r}, which is out of range.", hint="Use a positive number.")
    return int(number) if number == int(number) else number


def _replicas(given: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): _whole(f"number of replicas of {name}", count, 1) for name, count in given.items()}


def _limits(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    limits: dict[str, dict[str, str]] = {}
    for service, entry in given.items():
        unknown = sorted(set(entry) - {"cpus", "memory"})
        if unknown:
            raise SlipwayError(
                f"The limits of {service} have the unknown key {unknown[0]!r}.", hint="Known keys: cpus, memory."
            )
        limits[str(service)] = {key: str(value) for key, value in entry.items()}
    return limits


def _services(what: str, given: Any) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(str(name) for name in given or ()))
    for name in names:
        if not SERVICE.fullmatch(name):
            raise SlipwayError(
                f"{name!r} in {what} is not the name of a service.", hint="Use names of the Compose file."
            )
    return names


def _command(what: str, entry: Any) -> Command:
    if not isinstance(entry, Mapping) or not SERVICE.fullmatch(str(entry.get("service") or "")):
        raise SlipwayError(f"{what} names no service.", hint="Write it like {service: api, command: [./migrate]}.")
    # A stored release has `argv`, what people write has `command`.
    given = entry.get("command") if entry.get("command") is not None else entry.get("argv")
    argv = ("sh", "-c", given) if isinstance(given, str) and given else tuple(str(word) for word in given or ())
    timeout = _whole(f"timeout of {what}", entry.get("timeout") or 600, 1)
    return Command(service=str(entry["service"]), argv=argv, timeout=timeout)


def _hooks(given: Mapping[str, Any]) -> dict[str, tuple[Command, ...]]:
    unknown = sorted(set(given) - set(HOOK_MOMENTS))
    if unknown:
        raise SlipwayError(f"There is no hook {unknown[0]!r}.", hint=f"Hooks are: {', '.join(HOOK_MOMENTS)}.")
    return {
        moment: tuple(_command(f"hook {moment}", entry) for entry in given.get(moment) or ())
        for moment in HOOK_MOMENTS
        if given.get(moment)
    }


def _files(given: Mapping[str, Any]) -> dict[str, str]:
    for name in given:
        path = PurePosixPath(str(name))
        if path.is_absolute() or ".." in path.parts:
            raise SlipwayError(f"The file {name!r} is outside the project directory.", hint="Use a relative path.")
    return {str(name): str(checksum) for name, checksum in given.items()}
