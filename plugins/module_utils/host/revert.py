# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back from files that may end one's own access.

Before such files are written, a timer of systemd is armed that puts the old ones back. Only `keep`, said in time by
somebody who got in with the new ones, disarms it. Everything lies on the disk, so that the way back survives the
controller, the module and a reboot, after which the timer counts anew.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common.errors import SlipwayError
from ..common.files import read_json, remove, write_atomic, write_json
from ..common.process import run
from .snapshot import Snapshot, replace

STORE = "/var/lib/slipway/revert"
UNITS = "/etc/systemd/system"
TIMEOUT = 60.0

Command = tuple[str, ...]

SERVICE = """\
# Made by Slipway for a change that is not proved yet, and gone with it.
[Unit]
Description=Put back what was there before a change that nobody proved ({name})
ConditionPathExists={script}

[Service]
Type=oneshot
# The directory may be on a file system that is mounted noexec, so the shell is named.
ExecStart=/bin/sh {script}
"""
TIMER = """\
# Made by Slipway for a change that is not proved yet, and gone with it.
[Unit]
Description=Time in which a change has to be proved ({name})

[Timer]
OnActiveSec={after}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Revert:
    """What is asked for: `first` is run before the old files come back, `last` after they are live."""

    name: str
    after: int
    first: tuple[Command, ...] = ()
    last: tuple[Command, ...] = ()


class WayBack:
    """One armed or unarmed way back, known by its name."""

    def __init__(self, name: str, *, store: str = STORE, units: str = UNITS) -> None:
        self.name = name
        self.unit = f"slipway-revert-{name}"
        self._store = Path(store, name)
        self._script = self._store / "restore"
        self._saved = self._store / "saved.json"
        self._service = Path(units, f"{self.unit}.service")
        self._timer = Path(units, f"{self.unit}.timer")

    def armed(self) -> bool:
        return self._script.exists()

    def arm(self, revert: Revert, before: Sequence[Snapshot], apply: Sequence[Command]) -> None:
        """Of files that an earlier, unproved change has saved already, the older content is the one to go back to."""
        self._settle()
        saved = read_json(self._saved, []) if self.armed() else []
        if not saved:
            shutil.rmtree(self._store, ignore_errors=True)
        os.makedirs(self._store.parent, mode=0o755, exist_ok=True)
        os.makedirs(self._store, mode=0o700, exist_ok=True)
        known = {entry["path"] for entry in saved}
        saved += [self._save(len(saved) + number, one) for number, one in enumerate(before) if one.path not in known]
        write_json(self._saved, saved)
        write_atomic(self._script, self._restore(revert, saved, apply), 0o600)
        self._start_timer(revert.after)

    def postpone(self, revert: Revert) -> bool:
        """Let the time begin anew: somebody has come back to prove the change. False if it was too late for that."""
        self._settle()
        if self.armed():
            self._start_timer(revert.after)
        return self.armed()

    def keep(self) -> None:
        """Somebody got in with the new files, so they stay."""
        self._settle()
        if not self.armed():
            raise SlipwayError(
                f"There is no unproved change of {self.name} on this host: it was taken back before it was proved, or "
                "never made.",
                hint=f"journalctl --unit {self.unit} on the host tells when. Run the play again.",
            )
        self.disarm()

    def disarm(self) -> None:
        self._settle()
        # From here on nothing is put back any more, whatever happens to this process.
        remove(self._script)
        self._systemctl("disable", "--quiet", f"{self.unit}.timer", check=False)
        for path in (self._service, self._timer):
            remove(path)
        shutil.rmtree(self._store, ignore_errors=True)
        self._systemctl("daemon-reload")

    def _save(self, number: int, snapshot: Snapshot) -> dict[str, object]:
        copy = ""
        if snapshot.content is not None:
            copy = str(self._store / str(number))
            replace(copy, snapshot.content, 0o600, os.geteuid(), os.getegid())
        return {
            "path": snapshot.path,
            "copy": copy,
            "mode": f"{snapshot.mode:04o}",
            "uid": snapshot.uid,
            "gid": snapshot.gid,
        }

    def _restore(self, revert: Revert, saved: Sequence[dict[str, object]], apply: Sequence[Command]) -> str:
        """No line depends on another, so that one that fails keeps none from its work."""
        lines = [shlex.join(argv) for argv in revert.first]
        for entry in saved:
            path, copy = str(entry["path"]), str(entry["copy"])
            if not copy:
                lines.append(shlex.join(["rm", "-f", path]))
                continue
            beside = f"{path}.slipway-revert"
            owner = ["-m", str(entry["mode"]), "-o", str(entry["uid"]), "-g", str(entry["gid"])]
            lines.append(f"{shlex.join(['install', *owner, copy, beside])} && {shlex.join(['mv', '-f', beside, path])}")
        lines.append("systemctl daemon-reload")
        lines += [shlex.join(argv) for argv in (*apply, *revert.last)]
        lines.append("sync")
        lines.append(shlex.join(["rm", "-f", str(self._script)]))
        lines.append(shlex.join(["systemctl", "disable", "--quiet", f"{self.unit}.timer"]))
        lines.append(shlex.join(["rm", "-rf", str(self._store), str(self._service), str(self._timer)]))
        lines.append("systemctl daemon-reload")
        lines.append(
            shlex.join(["echo", f"Nobody proved the change of {self.name}, so what was there before is back."])
        )
        return "#!/bin/sh\n" + "\n".join(lines) + "\n"

    def _start_timer(self, after: int) -> None:
        write_atomic(self._service, SERVICE.format(name=self.name, script=self._script))
        write_atomic(self._timer, TIMER.format(name=self.name, after=after))
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--quiet", "--now", f"{self.unit}.timer")

    def _settle(self) -> None:
        """After this the timer does not begin to restore, and what it had begun is done."""
        self._systemctl("stop", f"{self.unit}.timer", check=False)
        deadline = time.monotonic() + TIMEOUT
        while self._restoring():
            if time.monotonic() > deadline:
                raise SlipwayError(
                    "Nobody proved the last change in time, so this host is putting back what was there before, and "
                    "does not come to an end with it.",
                    hint=f"Look at journalctl --unit {self.unit} on the host.",
                )
            time.sleep(0.2)

    def _restoring(self) -> bool:
        state = run(["systemctl", "is-active", f"{self.unit}.service"], timeout=TIMEOUT, check=False).stdout.strip()
        return state in ("activating", "active", "reloading", "deactivating")

    @staticmethod
    def _systemctl(*words: str, check: bool = True) -> None:
        run(["systemctl", *words], timeout=TIMEOUT, check=check)
