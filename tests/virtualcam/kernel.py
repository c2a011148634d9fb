"""A kernel with v4l2loopback and vivid for the test machine, from Debian's packages; nothing of it is installed here.

In: what apt offers. Out: a folder in the user's cache with the kernel, its modules and an initial RAM disk, made once
(a minute). On the caller's thread.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from engines.cache import cache_folder  # noqa: E402

# Program -> Debian's package that brings it.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "gcc": "gcc",
    "make": "make",
    "cpio": "cpio",
    "modprobe": "kmod",
    "ffmpeg": "ffmpeg",
    "v4l2-ctl": "v4l-utils",
    "chromium": "chromium",
}
# Of the kernel's package only this is unpacked: a quarter of it.
_PARTS = ("drivers/media", "drivers/virtio", "drivers/char/hw_random", "net/9p", "fs/9p", "fs/netfs", "fs/fscache")
_BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng")

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /host /own /root
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod "$module"; done
set -e
nine=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o ro,$nine,cache=loose hostroot /host
mount -t tmpfs own /own && mkdir /own/upper /own/work
mount -t overlay -o lowerdir=/host,upperdir=/own/upper,workdir=/own/work root /root
mkdir -p /root/out /root/dev /root/proc /root/sys
mount -t 9p -o $nine,cache=none hostout /root/out
mount --move /dev /root/dev && mount --move /proc /root/proc && mount --move /sys /root/sys
mkdir -p /root/dev/shm && mount -t tmpfs shm /root/dev/shm
exec switch_root /root /bin/sh /out/start
"""


class Kernel:
    """version: as `uname -r` says it. image, ramdisk: for QEMU. tree: what `modprobe -d` wants."""

    def __init__(self, folder: Path) -> None:
        self.version = (folder / "ready").read_text()
        self.image = folder / "tree" / "boot" / f"vmlinuz-{self.version}"
        self.ramdisk = folder / "initrd.gz"
        self.tree = folder / "tree"


def kernel() -> Kernel:
    """The kernel, made if it is not there; raises `subprocess.CalledProcessError` or `SystemExit` with a sentence."""
    folder = cache_folder() / "virtualcam" / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    if not (folder / "ready").exists():
        shutil.rmtree(folder.parent, ignore_errors=True)  # half a one, and those of older versions of this file
        folder.mkdir(parents=True)
        (folder / "ready").write_text(_make(folder))
    return Kernel(folder)


def install_programs() -> None:
    """What the test needs and this machine lacks is installed; raises `SystemExit` with the command if it may not."""
    lacking = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if lacking:
        _install(lacking)


def _install(packages: list[str]) -> None:
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SystemExit(f"This test needs Debian's packages. Install them with: sudo {' '.join(command)}")
    print(f"Installing {', '.join(packages)} ...", flush=True)
    _run("apt-get", "update", "-qq")
    _run(*command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def _make(folder: Path) -> str:
    """Fetches, unpacks and builds; gives the kernel's version."""
    print("Making the test machine's kernel modules (once) ...", flush=True)
    if not _depends("linux-image-amd64"):  # a fresh machine has no package lists
        if os.geteuid() != 0:
            raise SystemExit("This test needs Debian's package lists: sudo apt-get update")
        _run("apt-get", "update", "-qq")
    version = _depends("linux-image-amd64")[0].removeprefix("linux-image-")
    headers = f"linux-headers-{version}"
    needed = _depends(headers)
    build = [p for p in needed if p.startswith("linux-kbuild-")]
    common = [p for p in needed if p.endswith("-common")]
    libraries = [p for p in _depends(build[0]) if p.startswith("lib") and not _installed(p)]
    if libraries:
        _install(libraries)
    packages = folder / "packages"
    packages.mkdir()
    wanted = [f"linux-image-{version}", headers, *common, *build, "v4l2loopback-dkms", "busybox-static"]
    _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *wanted, cwd=packages)
    tree = folder / "tree"
    tree.mkdir()
    for package in packages.iterdir():
        parts = ["./boot", f"./lib/modules/{version}/modules.*"]
        parts += [f"./lib/modules/{version}/kernel/{part}" for part in (*_PARTS, "fs/overlayfs")]
        only = ["--wildcards", *parts] if package.name.startswith("linux-image-") else []
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as unpacked:
            subprocess.run(["tar", "-x", "-C", str(tree), *only], stdin=unpacked.stdout, check=True)
        if unpacked.returncode != 0:
            raise subprocess.CalledProcessError(unpacked.returncode, unpacked.args)
    shutil.rmtree(packages)
    _build_module(folder, tree, version)
    _make_ramdisk(folder, tree, version)
    return version


def _build_module(folder: Path, tree: Path, version: str) -> None:
    """v4l2loopback without dkms, against headers that lie in `tree`."""
    headers = tree / "usr" / "src" / f"linux-headers-{version}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{tree}/usr/src/"))
    source = folder / "v4l2loopback"
    shutil.copytree(next(tree.glob("usr/src/v4l2loopback-*")), source)
    log = folder / "build.log"
    with log.open("w") as out:
        made = subprocess.run(
            ["make", "-C", str(headers), f"M={source}", "modules"], stdout=out, stderr=out, check=False
        )
    if made.returncode != 0:
        raise SystemExit(f"v4l2loopback could not be built: {log}")
    extra = tree / "lib" / "modules" / version / "extra"
    extra.mkdir()
    shutil.copy(source / "v4l2loopback.ko", extra)
    _run("depmod", "-b", str(tree), version)


def _make_ramdisk(folder: Path, tree: Path, version: str) -> None:
    """busybox, the modules that reach the host's files, and `_INIT`."""
    ram = folder / "ramdisk"
    (ram / "bin").mkdir(parents=True)
    shutil.copy(next(tree.glob("**/bin/busybox")), ram / "bin" / "busybox")
    names: list[str] = []
    for module in _BOOT_MODULES:
        shown = _run("modprobe", "-d", str(tree), "-S", version, "--show-depends", module)
        for path in map(Path, re.findall(r"^insmod (\S+)", shown, re.MULTILINE)):
            if path.name not in names:
                names.append(path.name)
                shutil.copy(path, ram)
    (ram / "modules").write_text("\n".join(names) + "\n")
    (ram / "init").write_text(_INIT)
    (ram / "init").chmod(0o755)
    files = "\n".join(str(p.relative_to(ram)) for p in sorted(ram.rglob("*")))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"], input=files.encode(), cwd=ram, stdout=subprocess.PIPE, check=True
    ).stdout
    (folder / "initrd.gz").write_bytes(gzip.compress(archive))


def _depends(package: str) -> list[str]:
    """The packages that this one depends on, as apt's lists say."""
    shown = _run("apt-cache", "depends", package)
    return re.findall(r"^ +Depends: ([^\s<]+)", shown, re.MULTILINE)


def _installed(package: str) -> bool:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False
    )
    return "install ok installed" in shown.stdout


def _run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    return subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
