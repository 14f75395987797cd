# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking for secrets on a whole server, in every form in which one could be written down."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from slipway_access import SSH
from slipway_lab import LAB, Server

# Shorter pieces would be found everywhere by chance.
LEAST = 12
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
GREP = "LC_ALL=C grep --text --fixed-strings --file=/proc/$$/fd/3"
# What the kernel shows; processes are looked at by themselves.
SEEN = "find / \\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune -o -type f -print0"


def encodings(secret: str) -> set[str]:
    """The secret itself, and as base64 (wherever in a longer text it begins), in URLs and in JSON."""
    raw = secret.encode()
    forms = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret)}
    forms |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(before) + raw + bytes(2)).decode()[first:last])
    return {form for form in forms if len(form) >= LEAST}


@dataclass(frozen=True)
class Place:
    """A file that holds a secret."""

    path: str
    # whether somebody without any rights can read it
    open: bool


class Search:
    """For some secrets, by name."""

    def __init__(self, server: Server, secrets: Mapping[str, str]) -> None:
        self.server = server
        self.forms = {name: encodings(secret) for name, secret in secrets.items()}

    def text(self, text: str) -> set[str]:
        """Names of the secrets that a text shows."""
        return {name for name, forms in self.forms.items() if any(form in text for form in forms)}

    def files(self) -> list[Place]:
        """Every file of the server that holds one of them, images and databases too."""
        script = (
            f"{SEEN} | xargs -0 --max-args=4000 env {GREP} --files-with-matches --null --no-messages"
            f' | xargs -0 --no-run-if-empty --max-args=1 sh -c \'{NOBODY} test -r "$1" && echo open "$1"'
            ' || echo closed "$1"\' -'
        )
        lines = self._on_the_server(script).splitlines()
        return [Place(path, how == "open") for how, path in (line.split(" ", 1) for line in lines)]

    def journal(self) -> str:
        """Lines of the journal, with all their fields."""
        return self._on_the_server(f"journalctl --all --output=export --quiet | {GREP}")

    def containers(self) -> str:
        """Lines of what Docker tells of containers, but for the variables and commands of their Compose file."""
        shown = " ".join(f"{{{{json .{part}}}}}" for part in ("Name", "Config.Labels", "HostConfig", "Mounts", "State"))
        return self._on_the_server(f"docker ps --all --quiet | xargs docker inspect --format '{shown}' | {GREP}")

    def _on_the_server(self, script: str) -> str:
        """Patterns go in by standard input, and lie in a file without a name: an argument or a file would be found."""
        argv = [*SSH, "-i", f"{LAB}/id_ed25519", f"ops@{self.server.address}", "sudo", "sh", "-c"]
        script = f"p=$(mktemp -p /dev/shm); cat > $p; exec 3< $p; rm $p; {script}"
        quoted = "'" + script.replace("'", "'\\''") + "'"
        patterns = "".join(f"{form}\n" for forms in self.forms.values() for form in sorted(forms))
        done = subprocess.run(
            [*argv, quoted], input=patterns, capture_output=True, text=True, errors="replace", timeout=300, check=False
        )
        assert done.returncode != 255, done.stderr
        return done.stdout
