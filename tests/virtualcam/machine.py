"""The virtual camera on a real v4l2loopback: a small virtual machine boots, runs `guest.py` and tells the outcome.

In: Debian's packages, this checkout and its Python. Out: the guest's lines, and exit code 0 only if the guest wrote
that everything passed. The guest sees this machine's files, read-only, and writes nothing but its result.

    .venv/bin/python tests/virtualcam/machine.py [--without-chromium] [CHECK ...]
"""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kernel import PROGRAMS, ROOT, install_programs, kernel

from engines.cache import cache_folder

LIMIT_S = 900.0  # it took seven minutes on two cores with ten other busy programs
MEMORY_MIB = 3072


def main(words: list[str]) -> int:
    """Boots, waits for the end, and gives the exit code."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        print("This test needs a Linux machine with an x86_64 processor.", file=sys.stderr)
        return 1
    if "--without-chromium" in words:
        PROGRAMS.pop("chromium")
    install_programs()
    made = kernel()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        inner = [sys.executable, str(Path(__file__).with_name("guest.py")), made.version, str(made.tree), *words]
        (Path(out) / "start").write_text(
            "export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp\n"
            f"export LIVETOON_CACHE={shlex.quote(str(cache_folder()))}\n"
            f"cd {shlex.quote(str(ROOT))}\n{shlex.join(inner)}\n"
            "echo $? > /out/rc\nsync\necho o > /proc/sysrq-trigger\nwhile :; do :; done\n"
        )
        share = "security_model=none"
        command = [
            *("qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"),
            *("-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
            *("-no-reboot", "-kernel", str(made.image), "-initrd", str(made.ramdisk)),
            *("-append", "console=ttyS0 panic=-1 loglevel=1 mitigations=off"),
            *("-fsdev", f"local,id=r,path=/,{share},readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=r,mount_tag=hostroot"),
            *("-fsdev", f"local,id=o,path={out},{share}", "-device", "virtio-9p-pci,fsdev=o,mount_tag=hostout"),
            *("-device", "virtio-rng-pci"),
        ]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"The machine did not end within {LIMIT_S:.0f} s.", file=sys.stderr)
        verdict = Path(out) / "rc"  # QEMU's own exit code says nothing about the guest
        passed = verdict.exists() and verdict.read_text().strip() == "0"
    print(f"Virtual camera: {'passed' if passed else 'FAILED'}, {time.monotonic() - started_s:.0f} s", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
