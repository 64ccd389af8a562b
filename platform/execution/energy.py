"""Energy that a GPU takes, where NVML counts it; the library comes with the extra `gpu`."""

from typing import Any

import torch

try:
    import pynvml
except ImportError:
    pynvml = None


class EnergyMeter:
    """Joules of a GPU since `reset`, all that works on it together."""

    def __init__(self, device: str) -> None:
        self._gpu = _find(device) if pynvml and device.startswith("cuda") else None
        self.reset()

    def reset(self) -> None:
        """Count from here."""
        self._start = self._millijoules()

    def joules(self) -> float | None:
        """Return what was taken since; None without a GPU, the library or a counter."""
        now = self._millijoules()
        return None if now is None or self._start is None else (now - self._start) / 1e3

    def _millijoules(self) -> int | None:
        if self._gpu is None:
            return None
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)
        except pynvml.NVMLError:  # a GPU older than Volta counts none
            return None


def _find(device: str) -> Any | None:
    """Return NVML's handle of torch's device; None where it knows no such, as for a slice of one.

    By its UUID, for NVML numbers all GPUs of a machine and torch those that the process may see.
    """
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(
            f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        )
    except pynvml.NVMLError:
        return None
