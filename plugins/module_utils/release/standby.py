# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack that holds still: data services run, everything that would use them is made and not started."""

from __future__ import annotations

import time

from ..common.errors import SlipwayError
from . import definitions, images, keepers
from .host import Host, Serving
from .paths import SLOTS

START_SECONDS = 300


def prepare(host: Host) -> Serving:
    """The release on record, with its images here, its data services up and its volumes made."""
    current = host.store.state()
    serving = host.serving(current)
    if serving is None:
        raise SlipwayError(
            f"The stack {host.paths.stack} has no release on record that ever served.",
            hint="Deploy one with deploy.yml.",
        )
    release, slot = serving.record, serving.slot
    host.store.prepare()
    for name in SLOTS:
        host.slots.stop(name)
    data = [found.image for name in release.groups.data if (found := definitions.read(host.paths, name))]
    images.pull(host.daemon, {*release.images.values(), *data}, host.emitter)
    keepers.sync(host.daemon, host.paths.stack, keepers.wanted(host.store.all()))
    values = host.store.values(release.number)
    host.slots.start_data(release, values, time.monotonic() + START_SECONDS)
    if not host.daemon.containers(host.paths.project(slot)):
        host.slots.create(release, slot, values)
    return serving
