# Copyright (c) 2026, Slipway contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give Debian's own Docker packages the names that Docker's makers use, and put them into a signed apt repository.

The programs need glibc 2.34 at most, so they run on Debian 12. `runc` alone does not, and comes from Debian 12 itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ENGINE = "5:26.1.5-1~debian.12~bookworm"
# The same programs under an older number, to be pinned to.
OLDER = "5:26.1.4-1~debian.12~bookworm"
RENAMED = {
    "containerd": ("containerd.io", "1.7.24-1", "libc6 (>= 2.34), runc", "containerd, containerd.io"),
    "docker-cli": ("docker-ce-cli", ENGINE, "libc6 (>= 2.34)", "docker.io, docker-cli"),
    "docker.io": (
        "docker-ce",
        ENGINE,
        "libc6 (>= 2.34), libsystemd0, adduser, containerd.io, docker-ce-cli, iptables, tini",
        "docker.io",
    ),
    "docker-compose": (
        "docker-compose-plugin",
        "2.26.1-1~debian.12~bookworm",
        "libc6 (>= 2.34), docker-ce-cli",
        "docker-compose",
    ),
}
_DROPPED = (
    "Breaks",
    "Conflicts",
    "Replaces",
    "Provides",
    "Recommends",
    "Suggests",
    "Built-Using",
    "Static-Built-Using",
)


def run(*argv: str, cwd: Path | None = None) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=cwd).stdout


def rewritten(control: str, fields: Mapping[str, str]) -> str:
    """A control file with some fields replaced and those that name Debian's own packages left out."""
    kept = [
        paragraph
        for paragraph in re.split(r"\n(?=\S)", control.rstrip("\n"))
        if paragraph.partition(":")[0] not in {*fields, *_DROPPED}
    ]
    return "\n".join([*(f"{key}: {value}" for key, value in fields.items()), *kept]) + "\n"


def repackage(package: str, work: Path, pool: Path, version: str) -> None:
    name, _version, depends, conflicts = RENAMED[package]
    run("apt-get", "download", package, cwd=work)
    tree = work / name
    run("dpkg-deb", "--raw-extract", str(next(work.glob(f"{package}_*.deb"))), str(tree))
    control = tree / "DEBIAN" / "control"
    fields = {"Package": name, "Version": version, "Depends": depends, "Conflicts": conflicts}
    control.write_text(rewritten(control.read_text(encoding="utf-8"), fields), encoding="utf-8")
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(pool))


def index(root: Path, suite: str) -> None:
    binary = root / "dists" / suite / "stable" / "binary-amd64"
    binary.mkdir(parents=True)
    (binary / "Packages").write_text(
        run("apt-ftparchive", "packages", f"dists/{suite}/pool", cwd=root), encoding="utf-8"
    )
    release = run(
        *[
            "apt-ftparchive",
            "-o",
            "APT::FTPArchive::Release::Origin=Docker",
            "-o",
            "APT::FTPArchive::Release::Label=Docker CE",
        ],
        *["-o", f"APT::FTPArchive::Release::Suite={suite}", "-o", f"APT::FTPArchive::Release::Codename={suite}"],
        *["-o", "APT::FTPArchive::Release::Components=stable", "-o", "APT::FTPArchive::Release::Architectures=amd64"],
        *["release", f"dists/{suite}"],
        cwd=root,
    )
    (root / "dists" / suite / "Release").write_text(release, encoding="utf-8")


def sign(root: Path, suite: str) -> None:
    who = "Lab Docker Release"
    run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", who, "rsa3072", "sign", "never")
    (root / "gpg").write_text(run("gpg", "--armor", "--export", who), encoding="utf-8")
    folder = root / "dists" / suite
    run("gpg", "--batch", "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))
    run("gpg", "--batch", "--armor", "--detach-sign", "--output", str(folder / "Release.gpg"), str(folder / "Release"))


def main() -> None:
    root, suite = Path(sys.argv[1]), sys.argv[2]
    work, pool = Path("/tmp/work"), root / "dists" / suite / "pool"
    work.mkdir()
    pool.mkdir(parents=True)
    for package, (name, version, *_more) in RENAMED.items():
        for number in (version, OLDER) if version == ENGINE else (version,):
            repackage(package, work, pool, number)
            shutil.rmtree(work / name)
    index(root, suite)
    sign(root, suite)


if __name__ == "__main__":
    main()
