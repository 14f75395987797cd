# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPS needs from the world around it: names, certificates, objects and images, each from a real server."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import certificates
import containers
import settings
from settings import (
    ACME,
    ACME_MANAGEMENT_PORT,
    ACME_PORT,
    BUCKET,
    DNS,
    PACKAGES,
    PREFIX,
    RECORDS,
    REGISTRY,
    REGISTRY_PORT,
    S3,
    S3_PORT,
    STATE,
    WILD,
    WILD_KEY,
    ZONES,
)
from shell import LabError, docker, run, say, step

ACME_ROOT = STATE / "acme-root.pem"
S3_ACCESS_KEY = "lab-backup"
S3_SECRET_FILE = STATE / "s3_secret_key"
ZONE_SECRET_FILE = STATE / "zone_secret"
_RESTART = ("--restart", "unless-stopped", "--stop-timeout", "3")
REGISTRY_VOLUME = f"{PREFIX}-registry"


def container(service: str) -> str:
    return f"{PREFIX}-{service}"


def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.CA))


def get(url: str, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, timeout=5, context=_trust()) as answer:
        body: bytes = answer.read()
    return body


def _wait(what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not answer within {seconds:.0f} s; see docker logs {PREFIX}-{what}.")
        time.sleep(0.2)


def _listening(address: str, port: int) -> Callable[[], bool]:
    def probe() -> bool:
        socket.create_connection((address, port), timeout=1).close()
        return True

    return probe


def _tls(service: str) -> list[str]:
    return ["--volume", f"{certificates.directory(service)}:/tls:ro"]


def _tls_inputs(service: str) -> str:
    return (certificates.directory(service) / "cert.pem").read_text(encoding="utf-8")


def _records(image: str) -> None:
    """The zone `test`: any name is the first host, and single names can be set while it runs."""
    default = settings.HOSTS[settings.DEFAULT_HOST].address
    command = ["pebble-challtestsrv", "-management", f":{settings.DNS_MANAGEMENT_PORT}", "-dns01", ":8053"]
    command += [
        "-defaultIPv4",
        default,
        "-defaultIPv6",
        "",
        "-http01",
        "",
        "-https01",
        "",
        "-tlsalpn01",
        "",
        "-doh",
        "",
    ]
    containers.start(container("records"), RECORDS, image, _RESTART, command)


def _dns(image: str) -> None:
    """What the hosts and the ACME server ask: the lab's own names, the zones below `test`, and all else from the outer
    machine's resolver."""
    command = ["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--no-hosts", "--cache-size=2000"]
    command += ["--resolv-file=/etc/resolv.conf", f"--server=/test/{RECORDS}#8053"]
    names = {**settings.SERVICE_NAMES, "packages": PACKAGES}
    command += [f"--server=/{WILD}/{ZONES}"]
    command += [f"--host-record={name}.lab.test,{address}" for name, address in names.items()]
    containers.start(container("dns"), DNS, image, [*_RESTART, "--cap-add", "NET_ADMIN"], command)


def _zones(image: str) -> None:
    """The zone `wild.test`, in which whoever has the key may set TXT records."""
    if not ZONE_SECRET_FILE.exists():
        ZONE_SECRET_FILE.touch(mode=0o600)
        ZONE_SECRET_FILE.write_text(base64.b64encode(secrets.token_bytes(32)).decode(), encoding="ascii")
    place = STATE / "zones"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Nothing is remembered for long: tests ask for a name before and after it is there.
    zone = f"$ORIGIN {WILD}.\n$TTL 1\n@ SOA ns root 1 60 60 3600 1\n@ NS ns\nns A {ZONES}\n"
    for host in settings.HOSTS.values():
        zone += f"{host.name} A {host.address}\n*.{host.name} A {host.address}\n"
    secret = ZONE_SECRET_FILE.read_text(encoding="ascii")
    config = (
        "server:\n  listen: 0.0.0.0@53\n  rundir: /tmp\nlog:\n  - target: stderr\n    any: info\n"
        f"key:\n  - id: {WILD_KEY}\n    algorithm: hmac-sha256\n    secret: {secret}\n"
        f"acl:\n  - id: update\n    key: {WILD_KEY}\n    action: update\n    update-type: TXT\n"
        f"zone:\n  - domain: {WILD}\n    file: /config/{WILD}.zone\n    acl: update\n    zonefile-sync: -1\n"
    )
    (place / f"{WILD}.zone").write_text(zone, encoding="ascii")
    (place / "knot.conf").write_text(config, encoding="ascii")
    options = [*_RESTART, "--volume", f"{place}:/config:ro"]
    command = ["knotd", "--config", "/config/knot.conf"]
    containers.start(container("zones"), ZONES, image, options, command, inputs=zone + config)


def _acme(image: str) -> None:
    config = {
        "pebble": {
            "listenAddress": f"0.0.0.0:{ACME_PORT}",
            "managementListenAddress": f"0.0.0.0:{ACME_MANAGEMENT_PORT}",
            "certificate": "/tls/cert.pem",
            "privateKey": "/tls/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
    }
    path = STATE / "acme" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    options = [*_RESTART, *_tls("acme"), "--volume", f"{path.parent}:/config:ro"]
    options += ["--env", "PEBBLE_VA_NOSLEEP=1", "--env", "PEBBLE_WFE_NONCEREJECT=0"]
    command = ["pebble", "-config", "/config/config.json", "-dnsserver", f"{DNS}:53"]
    inputs = path.read_text(encoding="utf-8") + _tls_inputs("acme")
    containers.start(container("acme"), ACME, image, options, command, inputs=inputs)


def _secret(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(30), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _s3(image: str, binary: Path) -> None:
    identities = [
        {
            "name": "admin",
            "credentials": [{"accessKey": "lab-admin", "secretKey": _secret(STATE / "s3_admin_secret_key")}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "backup",
            "credentials": [{"accessKey": S3_ACCESS_KEY, "secretKey": _secret(S3_SECRET_FILE)}],
            "actions": [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")],
        },
    ]
    path = STATE / "s3" / "identities.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"identities": identities}), encoding="utf-8")
    containers.volume(f"{PREFIX}-s3")
    options = [
        *_RESTART,
        *_tls("s3"),
        "--volume",
        f"{path.parent}:/config:ro",
        "--volume",
        f"{binary}:/usr/bin/weed:ro",
    ]
    options += ["--volume", f"{PREFIX}-s3:/data"]
    command = ["weed", "-logtostderr=true", "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=0", "-filer", "-s3"]
    command += ["-s3.ip.bind=0.0.0.0", "-s3.port=8380", f"-s3.port.https={S3_PORT}", "-s3.cert.file=/tls/cert.pem"]
    command += [
        "-s3.key.file=/tls/key.pem",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.config=/config/identities.json",
    ]
    command += ["-s3.autoCreateBucket=false", "-s3.iam=false"]
    inputs = path.read_text(encoding="utf-8") + _tls_inputs("s3")
    containers.start(container("s3"), S3, image, options, command, inputs=inputs)


def _registry(image: str) -> None:
    config = (
        "version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: /data}, delete: {enabled: true}}\n"
        f"http: {{addr: ':{REGISTRY_PORT}', tls: {{certificate: /tls/cert.pem, key: /tls/key.pem}}}}\n"
    )
    path = STATE / "registry" / "config.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config, encoding="utf-8")
    containers.volume(REGISTRY_VOLUME)
    options = [
        *_RESTART,
        *_tls("registry"),
        "--volume",
        f"{path.parent}:/config:ro",
        "--volume",
        f"{REGISTRY_VOLUME}:/data",
    ]
    options += ["--publish", f"{settings.REGISTRY_PUSH}:{REGISTRY_PORT}"]
    command = ["docker-registry", "serve", "/config/config.yml"]
    containers.start(container("registry"), REGISTRY, image, options, command, inputs=config + _tls_inputs("registry"))


def _weed_shell(command: str) -> str:
    return docker(
        "exec", "--interactive", container("s3"), "weed", "shell", "-master=127.0.0.1:9333", stdin=f"{command}\n"
    )


def _bucket() -> None:
    def filer_ready() -> bool:
        return run(["docker", "exec", container("s3"), "test", "-d", "/data/filerldb2"], check=False).returncode == 0

    _wait("s3", filer_ready)
    _wait("s3", _listening(S3, S3_PORT))
    for _attempt in range(20):
        if BUCKET in _weed_shell("s3.bucket.list"):
            return
        _weed_shell(f"s3.bucket.create -name {BUCKET}")
        time.sleep(0.5)
    raise LabError(f"The bucket {BUCKET} could not be made; see docker logs {container('s3')}.")


def set_address(name: str, address: str) -> None:
    """Let a name of the zone `test` point somewhere."""
    body = json.dumps({"host": f"{name}.", "addresses": [address]}).encode()
    for verb in ("clear-a", "add-a"):
        request = urllib.request.Request(
            f"http://{RECORDS}:{settings.DNS_MANAGEMENT_PORT}/{verb}", data=body, method="POST"
        )
        urllib.request.urlopen(request, timeout=5).close()


def _acme_root() -> bool:
    """The root changes whenever the ACME server starts; certificates from before stay good, so older roots are kept.

    True if the server has started anew.
    """
    before = ACME_ROOT.read_text(encoding="utf-8") if ACME_ROOT.exists() else ""
    url = f"https://{ACME}:{ACME_MANAGEMENT_PORT}/roots/0"

    def fetch() -> bool:
        root = get(url).decode()
        if root not in before:
            ACME_ROOT.write_text(root + before, encoding="utf-8")
        return True

    _wait("acme", fetch)
    return ACME_ROOT.read_text(encoding="utf-8") != before


def packages(image: str) -> None:
    """The apt repository that Debian 12 gets its Docker Engine from."""
    containers.start(container("packages"), PACKAGES, image, _RESTART, [])
    _wait("packages", _listening(PACKAGES, 80))


def up(image: str, zones: str, binary: Path) -> bool:
    """Start what does not run. True if the ACME server is a new one, which has no accounts."""
    with step("Services: names, ACME, S3, registry"):
        _records(image)
        _zones(zones)
        _dns(image)
        _acme(image)
        _registry(image)
        _s3(image, binary)
        _wait("zones", _listening(ZONES, 53))
        _wait("records", _listening(RECORDS, settings.DNS_MANAGEMENT_PORT))
        for name, address in settings.EXTRA_RECORDS.items():
            set_address(name, address)
        new_authority = _acme_root()
        _wait("registry", lambda: bool(get(f"https://{REGISTRY}:{REGISTRY_PORT}/v2/")))
        _bucket()
    return new_authority


def _published(name: str) -> str:
    """The image that the registry has under a name, by its configuration's digest."""
    repository, _colon, tag = name.rpartition(":")
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    try:
        manifest = json.loads(get(f"https://{REGISTRY}:{REGISTRY_PORT}/v2/{repository}/manifests/{tag}", accept))
    except urllib.error.HTTPError as error:
        error.close()
        return ""
    return str(manifest.get("config", {}).get("digest", ""))


def publish(name: str, image: str) -> None:
    if _published(name) == docker("image", "inspect", "--format", "{{.Id}}", image):
        return
    say(f"Pushing {name}")
    target = f"{settings.REGISTRY_PUSH}/{name}"
    docker("tag", image, target)
    docker("push", "--quiet", target)
    docker("image", "rm", target)
