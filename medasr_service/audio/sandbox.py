"""What a decoder process gives up before it sees a stranger's bytes; elsewhere than on Linux, less.

A decoder that is taken over can compute, read the recording it was given, and answer: it opens no file and no
connection, starts nothing, signals nobody, looks into no other process. The filter names what is denied, not
what is allowed, so that a C library that is newer than this list still works.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

MEMORY_BYTES = 640 << 20  # FFmpeg's index of the largest tables that mp4 lets through has 400 MB
OPEN_FILES = 16

_SET_PARENT_DEATH_SIGNAL, _SET_NAME, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 15, 22, 38  # <linux/prctl.h>
_FILTER = 2  # SECCOMP_MODE_FILTER
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF: ld [k], jeq, jge, ret
_ALLOW, _DENY = 0x7FFF_0000, 0x0005_0001  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_X32 = 0x4000_0000  # numbers from here on are the same calls once more, on x86_64
_MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}  # column below; AUDIT_ARCH_*

_NONE = -1  # no such call there
_DENIED = {  # number on x86_64, on aarch64
    # files
    "open": (2, _NONE), "creat": (85, _NONE), "openat": (257, 56), "openat2": (437, 437),
    "open_by_handle_at": (304, 265), "truncate": (76, 45), "unlink": (87, _NONE), "unlinkat": (263, 35),
    "rename": (82, _NONE), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, _NONE),
    "mkdirat": (258, 34), "rmdir": (84, _NONE), "link": (86, _NONE), "linkat": (265, 37),
    "symlink": (88, _NONE), "symlinkat": (266, 36), "mknod": (133, _NONE), "mknodat": (259, 33),
    "chmod": (90, _NONE), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, _NONE),
    "lchown": (94, _NONE), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "utimensat": (280, 88), "memfd_create": (319, 279), "chroot": (161, 51), "mount": (165, 40),
    # connections
    "socket": (41, 198), "socketpair": (53, 199), "bind": (49, 200), "connect": (42, 203),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "mq_open": (240, 180),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186),
    # processes
    "fork": (57, _NONE), "vfork": (58, _NONE), "clone": (56, 220), "clone3": (435, 435),
    "execve": (59, 221), "execveat": (322, 281), "kill": (62, 129), "tkill": (200, 130),
    "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "prlimit64": (302, 261), "unshare": (272, 97), "setns": (308, 268),
    # more of the kernel than decoding needs
    "io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262),
}  # fmt: skip


def follow_parent(parent_pid: int) -> None:
    """Ends when the parent does, also where that is killed."""
    if sys.platform == "linux":
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it went before
            os._exit(0)


def name(text: str) -> None:
    """What ps and top show of this process."""
    if sys.platform == "linux":
        _prctl(_SET_NAME, ctypes.create_string_buffer(text.encode()))


def prepare() -> None:
    """What ``confine`` needs, made once for all copies of this process."""
    _libc()
    if machine := _MACHINES.get(platform.machine()):
        _program(*machine)


def confine(cpu_s: int) -> None:
    """Takes from this process, for ever, what decoding does not need; it may compute ``cpu_s`` in all."""
    for what, limit in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),  # a dump would hold what was said
    ):
        with suppress(ValueError):  # a lower one is set for all of the service
            resource.setrlimit(what, (limit, limit))
    if sys.platform == "linux":
        with suppress(OSError):  # where memory is short, this process is the one to go
            Path("/proc/self/oom_score_adj").write_text("1000")
        if _prctl(_SET_NO_NEW_PRIVILEGES, 1) == 0:
            _filter_calls()


def _filter_calls() -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.maxsize < 1 << 32:
        return
    code = _program(*machine)
    _prctl(_SET_SECCOMP, _FILTER, code)


@cache
def _program(column: int, architecture: int) -> bytes:
    """struct sock_fprog of the filter; what it points to lives as long as this process."""
    numbers = [numbers[column] for numbers in _DENIED.values() if numbers[column] != _NONE]
    # each line: operation, how many to pass over if so, and if not, value
    checks = [(_EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program = [
        (_LOAD, 0, 0, 4),  # struct seccomp_data: the architecture
        (_EQUAL, 0, len(numbers) + 2, architecture),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_AT_LEAST, len(numbers) + 1, 0, _X32),
        *checks,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    _kept.append(code)
    return struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))


_kept: list[object] = []


def _prctl(option: int, *arguments: object) -> int:
    """0 where the kernel does it; not all of them, and not all sandboxes around this one, do."""
    padded = [*arguments, *(ctypes.c_ulong(0) for _ in range(4 - len(arguments)))]
    return int(_libc().prctl(option, *padded))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
