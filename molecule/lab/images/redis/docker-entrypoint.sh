#!/bin/bash
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# As the public image: options or a file alone mean the server; it runs as user redis; protected mode is off, because
# the container's network is the boundary.
set -euo pipefail

if [ "${1:0:1}" = - ] || [ "${1##*.}" = conf ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ]; then
  if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis '{}' +
    exec gosu redis "$BASH_SOURCE" "$@"
  fi
  umask 0077
  set -- "$@" --protected-mode no
fi
exec "$@"
