# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every argument list that is seen on a server while something is done there: where no secret may be."""

from __future__ import annotations

import shlex

from slipway_lab import Server

UNIT = "watch-arguments"
PLACE = "/run/watch-arguments"
PROGRAM = f"""
import glob, os, time
seen = set()
while not os.path.exists("{PLACE}/end"):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen.add(open(path, "rb").read())
        except OSError:
            pass
    time.sleep(0.01)
with open("{PLACE}/seen", "wb") as found:
    found.write(bytes(10).join(seen).replace(bytes(1), b" "))
"""


class ArgumentWatch:
    """Looks a hundred times a second, from the beginning of the block to its end."""

    def __init__(self, server: Server) -> None:
        self._vps = server.vps
        self.seen = ""

    def __enter__(self) -> ArgumentWatch:
        self._vps.check_output(f"rm -rf {PLACE} && mkdir --mode 0700 {PLACE}")
        self._vps.check_output(f"systemd-run --quiet --collect --unit={UNIT} python3 -c {shlex.quote(PROGRAM)}")
        return self

    def __exit__(self, *_: object) -> None:
        wait = f"while systemctl is-active --quiet {UNIT}; do sleep 0.1; done"
        self._vps.check_output(f"touch {PLACE}/end && {wait} && test -s {PLACE}/seen")
        self.seen = self._vps.file(f"{PLACE}/seen").content_string
        self._vps.check_output(f"rm -rf {PLACE}")
