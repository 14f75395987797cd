# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`slipway ci`: all that a deploy key may do. sshd starts it in place of whatever the key's holder asked for.

    release STACK NAME    the last deploy again, with this release name
    follow STACK          the newest release, to its end
    status STACK          what serves

The words come from outside. They are compared as a whole with these three forms; no shell ever sees them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..agent import jobs
from ..common import validate
from ..common.errors import SlipwayError
from ..common.files import read_json
from ..common.terminal import say
from ..release import planning
from ..release.spec import RELEASE_NAME
from . import selection, status

DIRECTORY = Path("/etc/slipway/ci")
ORIGINAL = "SSH_ORIGINAL_COMMAND"
FORMS = re.compile(r"(?:(?P<release>release) (?P<to>\S+) (?P<name>\S+)|(?P<verb>follow|status) (?P<of>\S+))")
USAGE = "It may say: release STACK NAME, follow STACK, or status STACK."
RELEASE_JOBS = ("release.",)


@dataclass(frozen=True)
class Order:
    """What the holder of a key asked for."""

    verb: str
    stack: str
    name: str = ""


def parse(words: str, stack: str, pattern: str) -> Order:
    """The order, if it is one of the three, for the key's own stack, with a name that is allowed."""
    found = FORMS.fullmatch(words)
    if found is None:
        said = "nothing was asked for" if not words else f"{words[:200]!r} is none of it"
        raise SlipwayError(f"This key may only deploy {stack}; {said}.", hint=USAGE)
    order = Order(found["release"] or found["verb"], found["to"] or found["of"], found["name"] or "")
    if order.stack != stack:
        raise SlipwayError(f"This key is for the stack {stack} alone, not for {order.stack[:64]!r}.", hint=USAGE)
    if order.verb == "release" and not (RELEASE_NAME.fullmatch(order.name) and re.fullmatch(pattern, order.name)):
        raise SlipwayError(
            f"{order.name[:200]!r} is not the name of a release that this key may deploy.",
            hint=f"Names have to match {pattern} as a whole (stack_deploy_pattern).",
        )
    return order


def run(stack: str, key: str, words: str) -> int:
    """Do what was asked for, as far as this key may."""
    validate.stack_name(stack)
    known = read_json(DIRECTORY / f"{stack}.json", {})
    if key not in known.get("keys", []):
        raise SlipwayError(f"The key {key} may not deploy {stack}.", hint="Add it to stack_deploy_keys.")
    order = parse(words, stack, known.get("pattern") or RELEASE_NAME.pattern)
    if order.verb == "status":
        say("\n".join(status.describe(status.gather(stack), datetime.now(timezone.utc))))
        return 0
    if order.verb == "follow":
        return jobs.follow(jobs.newest_of(stack, RELEASE_JOBS))
    return _release(order, key)


def _release(order: Order, key: str) -> int:
    request = again(selection.host_of(order.stack).store.last_request(), order.name, f"deploy key {key}")
    if not planning.plan(request).changed:
        say(f"Release {order.name} of {order.stack} serves already.")
        return 0
    job = jobs.start("release.deploy", request, f"deploy of {order.stack} {order.name}")
    jobs.follow(job)
    done = jobs.view(job).result or {}
    say(f"Release {order.name} (number {done.get('release')}) of {order.stack} serves from slot {done.get('slot')}.")
    return 0


def again(request: Mapping[str, Any], name: str, by: str) -> dict[str, Any]:
    """The last deploy with another release name; what was said for that one release alone is not said again."""
    if request.get("digests") and name != request.get("release"):
        raise SlipwayError(
            f"The images of {request['stack']} are named by digest, and those of release {name} are not known.",
            hint="Promote it with: ansible-playbook slipway.vps.promote",
        )
    return {**request, "action": "deploy", "release": name, "requested_by": by, "force": False, "contract": False}
