"""The memory of a GPU, copied by the library that the array is of.

The algorithms work on memory that the CPU can read. So what a GPU holds is fetched before a call
and what a call has written is brought back after it, as other data are packed and unpacked.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, Protocol

import numpy as np


class Library(Protocol):
    """How a library copies between host and device.

    `address` is on the device with this number; `host` has as many bytes as are copied.
    """

    def device_of(self, data: Any) -> int | None:
        """The number of the device that an array is on; None for the CPU and what is unknown."""

    def fetch(self, address: int, host: np.ndarray, number: int) -> None:
        """From the device."""

    def bring(self, address: int, host: np.ndarray, number: int) -> None:
        """To the device."""


class Cupy:
    """cupy copies from address to address."""

    def device_of(self, data: Any) -> int | None:
        return data.device.id

    def fetch(self, address: int, host: np.ndarray, number: int) -> None:
        self._copy(host.ctypes.data, address, host.nbytes, number)

    def bring(self, address: int, host: np.ndarray, number: int) -> None:
        self._copy(address, host.ctypes.data, host.nbytes, number)

    def _copy(self, target: int, source: int, nbytes: int, number: int) -> None:
        cuda = sys.modules["cupy"].cuda
        with cuda.Device(number):
            cuda.runtime.memcpy(target, source, nbytes, cuda.runtime.memcpyDefault)


class Torch:
    """torch copies from tensor to tensor."""

    def device_of(self, data: Any) -> int | None:
        return data.device.index if data.device.type == "cuda" else None

    def fetch(self, address: int, host: np.ndarray, number: int) -> None:
        here, there = self._tensors(address, host, number)
        here.copy_(there)

    def bring(self, address: int, host: np.ndarray, number: int) -> None:
        here, there = self._tensors(address, host, number)
        there.copy_(here)

    def _tensors(self, address: int, host: np.ndarray, number: int) -> tuple[Any, Any]:
        torch = sys.modules["torch"]
        there = torch.as_tensor(_Cuda(address, host.nbytes), device=f"cuda:{number}")
        return torch.from_numpy(host.view(np.uint8)), there


class _Cuda:
    """Memory of a device, as other libraries want it described."""

    def __init__(self, address: int, nbytes: int):
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }


LIBRARIES: dict[str, Library] = {"cupy": Cupy(), "torch": Torch()}


class Gpu(NamedTuple):
    """A device whose memory the CPU does not reach, and what copies there.

    Attributes
    ----------
    library : str
    number : int
        Of the device.
    """

    library: str
    number: int

    @classmethod
    def of(cls, data: Any) -> Gpu | None:
        """That of an array; None if it is on no GPU, or of a library that is not known here."""
        name = type(data).__module__.partition(".")[0]
        library = LIBRARIES.get(name)
        number = None if library is None else library.device_of(data)
        return None if number is None else cls(name, number)

    def fetch(self, address: int, host: np.ndarray) -> None:
        """Copy the bytes at an address to an array, which they fill."""
        LIBRARIES[self.library].fetch(address, host, self.number)

    def bring(self, address: int, host: np.ndarray) -> None:
        """Copy the bytes of an array to an address."""
        LIBRARIES[self.library].bring(address, host, self.number)
