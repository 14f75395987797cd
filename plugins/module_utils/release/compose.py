# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`docker compose`: argument lists as values, and the few calls that run them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import SlipwayError
from ..common.process import CommandError, Result, run
from .model import Model

# `!override`, port ranges with a host address and `--no-deps` with `--no-start` behave as relied upon from here on.
MINIMUM = (2, 24, 4)
UNSET = re.compile(r'The \\?"([A-Za-z_][A-Za-z0-9_]*)\\?" variable is not set')
CONFIG_SECONDS = 60


@dataclass(frozen=True)
class Project:
    """A Compose project as it is called: name, project directory and files, in the order in which they are merged."""

    name: str
    directory: str
    files: tuple[str, ...]

    def argv(self, *words: str) -> list[str]:
        files = [word for name in self.files for word in ("-f", name)]
        return ["docker", "compose", "-p", self.name, "--project-directory", self.directory, *files, *words]


def config(project: Project) -> list[str]:
    return project.argv("config", "--format", "json")


def create(project: Project, services: Sequence[str], scale: Mapping[str, int]) -> list[str]:
    """Containers, networks and volumes, nothing started."""
    return project.argv("up", "--no-start", *_up_options(services, scale))


def up(project: Project, services: Sequence[str], scale: Mapping[str, int]) -> list[str]:
    """What is missing is made, what is stopped is started, and nothing that is there is made anew."""
    return project.argv("up", "-d", "--no-recreate", *_up_options(services, scale))


def replace(project: Project, service: str) -> list[str]:
    """A new container whatever Compose thinks of the one before: a file that it reads may have changed."""
    return project.argv("up", "-d", "--force-recreate", *_up_options([service], {}))


def _up_options(services: Sequence[str], scale: Mapping[str, int]) -> list[str]:
    scales = [word for name in services if name in scale for word in ("--scale", f"{name}={scale[name]}")]
    return ["--no-deps", "--no-build", "--pull", "never", "--quiet-pull", *scales, *services]


def run_once(project: Project, service: str, argv: Sequence[str], name: str) -> list[str]:
    """A one-off container that is removed when it ends."""
    return project.argv("run", "--rm", "--no-deps", "-T", "--name", name, service, *argv)


def run_detached(project: Project, service: str, argv: Sequence[str], name: str, entrypoint: str = "") -> list[str]:
    """A one-off container that is started and left alone; whoever started it removes it."""
    options = ["--entrypoint", entrypoint] if entrypoint else []
    return project.argv("run", "--detach", "--no-deps", "--name", name, *options, service, *argv)


def call(argv: Sequence[str], values: Mapping[str, str], timeout: float) -> Result:
    """Run it; the variables of the Compose file go through the environment, never through `argv`."""
    return run(argv, timeout=timeout, env=values)


def without_warnings(text: str) -> str:
    """What Compose printed, without its remarks about volumes that the projects share on purpose."""
    return "\n".join(line for line in text.splitlines() if "level=warning" not in line)


@functools.cache
def version() -> str:
    """The version of the Compose plugin, or a sentence."""
    try:
        return run(["docker", "compose", "version", "--short"], timeout=20).stdout.strip()
    except CommandError as error:
        raise SlipwayError(
            f"Docker Compose is not usable on this host: {error.message}",
            hint="Run role slipway.vps.docker first.",
        ) from error


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of `2.26.1-4` or `v2.40.0`."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def refuse_old(text: str) -> None:
    if parse_version(text) < MINIMUM:
        wanted = ".".join(str(part) for part in MINIMUM)
        raise SlipwayError(
            f"Docker Compose {text} is too old, {wanted} or newer is needed.",
            hint="Run role slipway.vps.docker, which installs a newer one.",
        )


def read_model(stack: str, directory: str, text: str, values: Mapping[str, str]) -> Model:
    """The team's Compose file, normalised by Compose itself."""
    project = Project(stack, directory, ("-",))
    try:
        done = run(config(project), timeout=CONFIG_SECONDS, env=values, stdin=text)
    except CommandError as error:
        reason = error.result.stderr.strip() if error.result else error.message
        raise SlipwayError(
            f"Docker Compose does not accept the Compose file: {reason}",
            hint="Check it with: docker compose config",
        ) from error
    unset = sorted(set(UNSET.findall(done.stderr)))
    if unset:
        raise SlipwayError(
            f"The Compose file uses {', '.join(f'${{{name}}}' for name in unset)}, which has no value.",
            hint="Set it in stack_env or stack_secrets, or give it a default in the file: ${NAME:-default}.",
        )
    return parse_model(done.stdout)


def parse_model(text: str) -> Model:
    data: dict[str, Any] = json.loads(text)
    return Model(data)
