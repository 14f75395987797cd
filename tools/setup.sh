#!/bin/sh
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Finds the newest Python (3.11 or newer) that really runs and hands over to setup.py. A name on PATH may be a shim that
# does not run, so each candidate is started once.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
probe='
import importlib.util, sys
if sys.version_info < (3, 11):
    sys.exit(1)
# A Debian Python without python3-venv counts as well: setup.py installs the package.
ready = importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")
if not (ready or sys.executable.startswith("/usr/bin/")):
    sys.exit(1)
print("%d %d %s" % (sys.version_info[0], sys.version_info[1], sys.executable))
'

candidates() {
    for name in python3.13 python3.12 python3.11 python3; do
        command -v "$name" || :
    done
    printf '%s\n' /usr/bin/python3
    for path in "${HOME:-/root}"/.pyenv/versions/*/bin/python3; do
        [ ! -x "$path" ] || printf '%s\n' "$path"
    done
}

newest() {
    candidates | awk '!seen[$0]++' | while read -r path; do
        "$path" -c "$probe" 2>/dev/null </dev/null || :
    done | sort -s -k1,1nr -k2,2nr | head -n 1 | cut -d' ' -f3-
}

# The answer is remembered: starting a dozen Pythons takes a second.
remembered=$root/.cache/python
if [ -x "$root/.cache/venv/bin/python" ] && [ -r "$remembered" ] && python=$(cat "$remembered") && [ -x "$python" ]; then
    :
else
    python=$(newest)
fi
if [ -z "$python" ]; then
    echo "setup: no Python 3.11 or newer was found. On Debian 12 or 13: apt-get install python3 python3-venv" >&2
    exit 1
fi
exec "$python" "$root/tools/setup.py" "$@"
