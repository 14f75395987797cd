#!/usr/bin/python
# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Keep a set of configuration files as one transaction
version_added: 0.1.0
description:
  - Writes all files and directories of one service in a single call, tests them together and makes them live with at
    most one reload. If the test or the reload fails, every file is put back as it was.
  - Replaces a loop of template tasks with one task, so that a second run over dozens of files takes one round trip.
  - A run that was killed between writing and O(apply) is remembered until the next reboot; the next run then applies.
author: Slipway contributors (!UNKNOWN)
options:
  files:
    description: Files with their whole content.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      content:
        description: The whole text, usually from P(ansible.builtin.template#lookup).
        type: str
        required: true
      mode:
        description: Permission bits, as a string of octal digits.
        type: str
        default: "0644"
      owner:
        description: Owner's name or number.
        type: str
        default: root
      group:
        description: Group's name or number.
        type: str
        default: root
      validate:
        description: Command that must accept the file before it takes its place. C({path}) is the new file.
        type: list
        elements: str
        default: []
      secret:
        description: Whether to leave the content out of the diff.
        type: bool
        default: false
  edits:
    description: Files of the distribution in which only single lines are changed. A file that is missing is created.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      lines:
        description: The edits, made in this order.
        type: list
        elements: dict
        required: true
        suboptions:
          match:
            description: Regular expression of the lines that are replaced. It must match O(edits[].lines[].line) too.
            type: str
            required: true
          line:
            description: The one line that they become, or that is added to the end. Without it they are removed.
            type: str
            default: ""
  directories:
    description: Directories that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      mode:
        description: Permission bits, as a string of octal digits.
        type: str
        default: "0755"
      owner:
        description: Owner's name or number.
        type: str
        default: root
      group:
        description: Group's name or number.
        type: str
        default: root
  absent:
    description: Files, or shell patterns of files, that must not exist. Directories are never removed.
    type: list
    elements: str
    default: []
  keep_originals:
    description: Whether to note what each file was before it was first changed, so that O(take_back) can undo it.
    type: bool
    default: false
  take_back:
    description:
      - Files that are put back as they were before O(keep_originals) changed them first, or removed if there were none.
        A file that somebody else has changed since is left alone, and so is one that was never changed here.
    type: list
    elements: str
    default: []
  sets:
    description:
      - Several sets of files in one call, each a transaction of its own with the other options of this module. They are
        dealt with one after the other.
    type: list
    elements: dict
    default: []
  test:
    description: Command that must accept the whole configuration once it is written. Runs only if a file changed.
    type: list
    elements: str
    default: []
  apply:
    description: Commands that make the files live, each a list of words. Run only if a file changed.
    type: list
    elements: list
    default: []
  live:
    description:
      - Read-only commands that tell whether the system runs with what the files say. If one fails, O(apply) is run although
        no file changed. So a setting that was changed behind the files' back is repaired too.
    type: list
    elements: dict
    default: []
    suboptions:
      argv:
        description: The command as a list of words.
        type: list
        elements: str
        required: true
      expect:
        description: Regular expression that its output must have.
        type: str
        default: ""
  revert:
    description:
      - Arms a way back before the first file is written. Unless M(slipway.vps.host_keep) is called in time, systemd puts the
        old files back and applies them, also after a reboot. Use it for files that may end your own access.
    type: dict
    suboptions:
      name:
        description: Name of the way back.
        type: str
        required: true
      after:
        description: Seconds until it is taken. They count anew after a reboot, and when a later run finds it armed.
        type: int
        default: 60
      first:
        description: Commands to run before the old files come back, such as one that takes down what the new ones set up.
        type: list
        elements: list
        default: []
      last:
        description: Commands to run when the old files are live again.
        type: list
        elements: list
        default: []
attributes:
  check_mode:
    description: Reports what would change. Neither O(test) nor O(apply) is run.
    support: full
  diff_mode:
    description: Shows the text of each file before and after, except of files with O(files[].secret=true).
    support: full
  idempotent:
    description: Reports a change only if a file, a mode or an owner differed, or an interrupted run has to be applied.
    support: full
"""

EXAMPLES = r"""
- name: Configure Nginx
  slipway.vps.host_files:
    directories:
      - path: /etc/nginx/slipway
    files:
      - path: /etc/nginx/nginx.conf
        content: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    absent:
      - /etc/nginx/sites-enabled/default
    test: [/usr/sbin/nginx, -t]
    apply:
      - [systemctl, reload, nginx.service]
"""

RETURN = r"""
unproved:
  description:
    - Whether a way back is armed, by this run or an earlier one that never came to prove its change, so that
      M(slipway.vps.host_keep) has to be called.
  returned: success
  type: bool
changed_paths:
  description: Files and directories that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
applied:
  description: Whether the commands in O(apply) were run.
  returned: success
  type: bool
not_live:
  description: Commands of O(live) that did not hold before the change.
  returned: success
  type: list
  elements: str
left_alone:
  description: Files of O(take_back) that somebody else has changed since.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.slipway.vps.plugins.module_utils.common.errors import SlipwayError
from ansible_collections.slipway.vps.plugins.module_utils.host import files as host_files
from ansible_collections.slipway.vps.plugins.module_utils.host.edits import EditSpec, LineEdit

OWNERSHIP = {
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}

OPTIONS: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
            **OWNERSHIP,
            "validate": {"type": "list", "elements": "str", "default": []},
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
    "edits": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "lines": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"match": {"type": "str", "required": True}, "line": {"type": "str", "default": ""}},
            },
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0755"},
            **OWNERSHIP,
        },
    },
    "absent": {"type": "list", "elements": "str", "default": []},
    "keep_originals": {"type": "bool", "default": False},
    "take_back": {"type": "list", "elements": "str", "default": []},
    "test": {"type": "list", "elements": "str", "default": []},
    "apply": {"type": "list", "elements": "list", "default": []},
    "live": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "argv": {"type": "list", "elements": "str", "required": True},
            "expect": {"type": "str", "default": ""},
        },
    },
    "revert": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "after": {"type": "int", "default": 60},
            "first": {"type": "list", "elements": "list", "default": []},
            "last": {"type": "list", "elements": "list", "default": []},
        },
    },
}


def file_spec(item: dict) -> host_files.FileSpec:
    return host_files.FileSpec(**{**item, "mode": octal(item["mode"]), "validate": tuple(item["validate"])})


def edit_spec(item: dict) -> EditSpec:
    return EditSpec(item["path"], tuple(LineEdit(**line) for line in item["lines"]))


def directory_spec(item: dict) -> host_files.DirectorySpec:
    return host_files.DirectorySpec(**{**item, "mode": octal(item["mode"])})


def file_set(params: dict) -> host_files.FileSet:
    return host_files.FileSet(
        files=tuple(file_spec(item) for item in params["files"]),
        directories=tuple(directory_spec(item) for item in params["directories"]),
        edits=tuple(edit_spec(item) for item in params["edits"]),
        absent=tuple(params["absent"]),
        keep_originals=params["keep_originals"],
        take_back=tuple(params["take_back"]),
        test=tuple(params["test"]),
        apply=commands(params["apply"]),
        live=tuple(host_files.LiveCheck(tuple(item["argv"]), item["expect"]) for item in params["live"]),
        revert=revert(params["revert"]) if params["revert"] else None,
    )


def revert(item: dict) -> host_files.Revert:
    return host_files.Revert(item["name"], item["after"], commands(item["first"]), commands(item["last"]))


def commands(lists: list) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(word) for word in argv) for argv in lists)


def octal(mode: str) -> int:
    try:
        return int(mode, 8)
    except ValueError as error:
        raise SlipwayError(
            f"The mode {mode!r} is not a string of octal digits.", hint='Write it like "0644".'
        ) from error


def validated(params: dict) -> dict:
    """One of the sets, with the defaults of what it leaves out."""
    result = ArgumentSpecValidator(OPTIONS).validate(params)
    if result.error_messages:
        raise SlipwayError(f"One of the sets is not valid: {'; '.join(result.error_messages)}.")
    return dict(result.validated_parameters)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**OPTIONS, "sets": {"type": "list", "elements": "dict", "default": []}},
        supports_check_mode=True,
    )
    try:
        report = host_files.Report()
        for params in [module.params, *(validated(item) for item in module.params["sets"])]:
            report += host_files.converge(file_set(params), check=module.check_mode)
    except SlipwayError as error:
        module.fail_json(msg=str(error), changed=False)
    module.exit_json(
        changed=report.changed,
        changed_paths=report.changed_paths,
        applied=report.applied,
        not_live=report.not_live,
        unproved=report.unproved,
        left_alone=report.left_alone,
        diff=report.diff,
    )


if __name__ == "__main__":
    main()
