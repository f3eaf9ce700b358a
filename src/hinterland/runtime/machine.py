"""What this machine has, and what this process and its children take of it."""

import resource
import time
from pathlib import Path

import psutil


def machine_memory() -> tuple[float, float]:
    """(all, free) in bytes, swap included; what this control group may have, if that is less."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    total, free = memory.total + swap.total, memory.available + swap.free
    root, groups = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    lines = groups.read_text().splitlines() if groups.is_file() else []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    for folder, limit, used, cached in (
        (root / own.strip("/"), "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now, details = ((folder / name).read_text().strip()
                                  for name in (limit, used, "memory.stat"))  # fmt: skip
        except OSError:
            continue  # there is no such group
        if most.isdigit() and int(most) < total:
            told = dict(line.split(" ", 1) for line in details.splitlines())
            total = int(most)
            free = min(free, total - int(now) + int(told.get(cached, 0)))
    return float(total), float(max(free, 0))


def memory_mb() -> tuple[float, float]:
    """(largest so far of this process, now of its children, unshared), in MB (10^6 bytes)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return own, sum(map(_own_memory_mb, psutil.Process().children(recursive=True)))


def _own_memory_mb(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().uss / 1e6
    except psutil.Error:  # it has just ended
        return 0.0


def cpu_seconds() -> float:
    """CPU time so far of this process and of its children, ended ones included, in s."""
    this = psutil.Process()
    children = sum(map(cpu_seconds_of, this.children(recursive=True)))
    return time.process_time() + sum(this.cpu_times()[2:4]) + children


def cpu_seconds_of(process: psutil.Process) -> float:
    """CPU time so far of another process and of its ended children, in s; 0 if it is gone."""
    try:
        return sum(process.cpu_times()[:4])  # its own, and of children
    except psutil.Error:  # it has just ended: its parent's figures hold its time now
        return 0.0
