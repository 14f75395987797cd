#!/bin/sh
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Removes what the make targets made: the lab's containers, volumes, networks and images, the Docker Engine that setup
# started, and .cache. Packages of the distribution stay.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

python=$root/.cache/venv/bin/python
[ -x "$python" ] || python=$(command -v python3)
if [ -f molecule/lab/lab.py ]; then
    PATH=$PATH:/usr/sbin:/sbin "$python" molecule/lab/lab.py destroy
fi

# The engine is ended only if it is the one that setup started: the number may belong to another program by now.
if [ -r .cache/dockerd.pid ]; then
    read -r pid <.cache/dockerd.pid
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        echo "destroy: ending Docker Engine (process $pid)"
        kill "$pid"
        # A process that has ended has no program any more, even while nobody has asked for its exit code.
        for _tenth in $(seq 300); do
            [ -e "/proc/$pid/exe" ] || break
            sleep 0.1
        done
    fi
fi

rm -rf .cache .ansible .hypothesis tests/output changelogs/.plugin-cache.yaml
find . -name __pycache__ -type d -not -path './playbooks/collections/*' -prune -exec rm -rf {} +
echo "destroy: done. Packages that setup installed with apt stay; make demo makes all of it again."
