"""A Python of ARM64 on another machine: Debian's interpreter and the wheels of the image, run by QEMU.

Nothing of it needs root. Debian's packages are fetched by apt under a state of its own and unpacked, not
installed; QEMU's user emulation looks there first for what a program opens (``-L``). ``sys.executable`` is a
script that starts the emulator, so that the processes that the service starts are emulated as well.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.conftest import ROOT

QEMU = "qemu-aarch64-static"
LOCK = ROOT / "requirements-lock.txt"
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
GLIBC = range(17, 37)  # 2.x: of the wheels that Debian 12 can run
APT = """
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
Dir::State "{state}";
Dir::State::status "/dev/null";
Dir::Cache "{state}/cache";
Debug::NoLocking "true";
"""
# QEMU before 8.1 shows the host's, in which ONNX Runtime (cpuinfo) finds no ARM core, and ends
CPUINFO = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""
EXECUTABLE = """#!/bin/sh
exec {qemu} -L {root} -cpu {cpu} -E PYTHONPATH={shim}:{project}:{site} {python} "$@"
"""


class Unavailable(Exception):
    """This machine cannot emulate; the message says why."""


@dataclass(frozen=True)
class Emulation:
    """``root``: what Debian's packages hold; ``site``: the wheels."""

    root: Path
    site: Path

    @property
    def python(self) -> Path:
        [found] = self.root.glob("usr/bin/python3.[0-9]*")
        return found

    def executable(self, cpu: str) -> Path:
        """A program that is Python on that CPU of QEMU's."""
        shim = self.root.parent / cpu
        shim.mkdir(exist_ok=True)
        script = shim / "python"
        script.write_text(
            EXECUTABLE.format(
                qemu=QEMU,
                root=self.root,
                cpu=cpu,
                shim=shim,
                project=ROOT,
                site=self.site,
                python=self.python,
            )
        )
        script.chmod(0o755)
        (shim / "sitecustomize.py").write_text(f"import sys\n\nsys.executable = {str(script)!r}\n")
        return script


def build(folder: Path) -> Emulation:
    """Fetches what is not there yet, some 110 MB. Raises Unavailable."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise Unavailable("it is tested by emulation on x86_64 only")
    for program in (QEMU, "apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")
    packages = sha256("\n".join(PACKAGES).encode()).hexdigest()[:12]
    root = _once(folder / f"debian-{packages}", _unpack_debian)
    made = Emulation(root, folder)
    version = made.python.name.removeprefix("python")
    wheels = sha256(LOCK.read_bytes()).hexdigest()[:12]
    return Emulation(root, _once(folder / f"wheels-{version}-{wheels}", lambda to: _install(to, version)))


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made beside and renamed."""
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            make(beside)
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"{error.cmd[0]}: {error.stderr.strip()[-500:]}") from error
        beside.rename(folder)
    return folder


def _unpack_debian(root: Path) -> None:
    state = root.with_name(f"{root.name}.apt")
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    configuration = state / "apt.conf"
    configuration.write_text(APT.format(state=state))
    of_its_own = {**os.environ, "APT_CONFIG": str(configuration)}
    _run("apt-get", "-qq", "update", env=of_its_own)
    _run("apt-get", "-qq", "--yes", "--download-only", "install", *PACKAGES, env=of_its_own)
    for package in sorted(state.glob("cache/archives/*.deb")):
        _run("dpkg-deb", "--extract", package, root)
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(CPUINFO)
    shutil.rmtree(state)


def _install(site: Path, version: str) -> None:
    """What the image installs, for ARM64: by the lock, and nothing else."""
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in reversed(GLIBC)]
    abis = [f"--abi={each}" for each in (f"cp{version.replace('.', '')}", "abi3", "none")]
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={version}"),
        *(*abis, *platforms, "--platform=manylinux2014_aarch64"),
        *("--target", site, "--requirement", LOCK),
    )


def _run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, env=env, check=True, capture_output=True, text=True)
