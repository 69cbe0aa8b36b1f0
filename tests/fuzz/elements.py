"""What buffers consist of: types of elements, the operators for them, and values."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

# Reductions take derived datatypes with gaps, and so do all collectives but
# Alltoallw, once this is on; `--gaps` turns it on for one run.
GAPS = True


class Element(NamedTuple):
    """A type of element.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
        How its bytes lie in an extent. Fields leave out what no value uses.
    kind : str
        Which operators there are for it; a key of `OPERATORS`.
    datatype : MPI.Datatype or callable
        A predefined one, or what makes a derived one, which the call frees.
    """

    name: str
    dtype: np.dtype
    kind: str
    datatype: MPI.Datatype | Callable[[], MPI.Datatype]

    @property
    def derived(self) -> bool:
        return not isinstance(self.datatype, MPI.Datatype)

    def make(self) -> MPI.Datatype:
        return self.datatype().Commit() if self.derived else self.datatype

    def significant(self) -> np.ndarray:
        """Which bytes of an element hold its value, as booleans."""
        used = np.zeros(self.dtype.itemsize, bool)
        _mark(self.dtype, used)
        return used


def _mark(dtype: np.dtype, used: np.ndarray) -> None:
    if dtype.names:
        for field, offset, *_ in dtype.fields.values():
            _mark(field, used[offset : offset + field.itemsize])
    elif dtype.char in "gG" and np.finfo(dtype).nmant == 63:  # Intel's, padded
        used.reshape(-1, np.dtype("g").itemsize)[:, :10] = True
    else:
        used[:] = True


def _spaced(*fields: tuple[str, int], size: int) -> np.dtype:
    """A structure of fields with the given codes and offsets."""
    formats, offsets = zip(*fields)
    names = [f"f{number}" for number in range(len(fields))]
    return np.dtype(dict(names=names, formats=formats, offsets=offsets, itemsize=size))


def _pair(code: str) -> np.dtype:
    """The structure behind MPI.FLOAT_INT and its like."""
    return np.dtype([("value", code), ("place", "i")], align=True)


def _integer(dtype: np.dtype) -> Element:
    return Element(dtype.name, dtype, "integer", MPI.Datatype.fromcode(dtype.char))


def _opaque(size: int) -> np.dtype:
    return np.dtype((np.void, size))


def _wide() -> MPI.Datatype:
    return MPI.INT32_T.Create_resized(0, 8)


def _mixture() -> MPI.Datatype:
    return MPI.Datatype.Create_struct([1, 1], [0, 8], [MPI.INT16_T, MPI.DOUBLE])


BYTES = Element("MPI.BYTE", np.dtype("u1"), "bits", MPI.BYTE)
WHOLE = [
    *[_integer(np.dtype(code)) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")],
    Element("MPI.AINT", np.dtype(np.intp), "integer", MPI.AINT),
    BYTES,
    Element("MPI.CHAR", np.dtype("u1"), "opaque", MPI.CHAR),
    Element("bool", np.dtype("?"), "logical", MPI.C_BOOL),
    Element("float32", np.dtype("f4"), "float", MPI.FLOAT),
    Element("float64", np.dtype("f8"), "float", MPI.DOUBLE),
    Element("longdouble", np.dtype("g"), "float", MPI.LONG_DOUBLE),
    Element("complex64", np.dtype("c8"), "complex", MPI.C_FLOAT_COMPLEX),
    Element("complex128", np.dtype("c16"), "complex", MPI.C_DOUBLE_COMPLEX),
    Element("MPI.FLOAT_INT", _pair("f"), "pair", MPI.FLOAT_INT),
    Element("MPI.DOUBLE_INT", _pair("d"), "pair", MPI.DOUBLE_INT),
    Element("MPI.LONG_INT", _pair("l"), "pair", MPI.LONG_INT),
    Element("MPI.SHORT_INT", _pair("h"), "pair", MPI.SHORT_INT),
    Element("MPI.TWOINT", _pair("i"), "pair", MPI.TWOINT),
    Element("MPI.LONG_DOUBLE_INT", _pair("g"), "pair", MPI.LONG_DOUBLE_INT),
    Element("pair of int64", _opaque(16), "opaque", lambda: MPI.INT64_T.Create_contiguous(2)),
    Element("three int16", _opaque(6), "opaque", lambda: MPI.INT16_T.Create_vector(3, 1, 1)),
    Element(
        "structure",
        _opaque(16),
        "opaque",
        lambda: MPI.Datatype.Create_struct([2, 1], [0, 8], [MPI.INT32_T, MPI.DOUBLE]),
    ),
]
WITH_GAPS = [
    Element(
        "every other int32",
        _spaced(("i4", 0), ("i4", 8), size=12),
        "opaque",
        lambda: MPI.INT32_T.Create_vector(2, 1, 2),
    ),
    Element("int32 in 8 bytes", _spaced(("i4", 0), size=8), "opaque", _wide),
    Element("padded structure", _spaced(("i2", 0), ("f8", 8), size=16), "opaque", _mixture),
]


def elements(gaps: bool) -> list[Element]:
    return WHOLE + WITH_GAPS if gaps else WHOLE


# The operators.

USERS = ["sum of bytes", "affine"]  # ours; the second does not commute
REPRODUCIBLE = "reproducible sum"  # the built-in's SUM is the same where that is exact
OPERATORS = {
    "integer": ["SUM", "PROD", "MAX", "MIN", "LAND", "LOR", "LXOR", "BAND", "BOR", "BXOR", *USERS],
    "bits": ["BAND", "BOR", "BXOR", *USERS],
    "opaque": USERS,
    "logical": ["LAND", "LOR", "LXOR"],
    "float": ["SUM", "PROD", "MAX", "MIN", REPRODUCIBLE],
    "complex": ["SUM", "PROD", REPRODUCIBLE],
    "pair": ["MAXLOC", "MINLOC"],
}


def operators(element: Element) -> list[str]:
    """What can be done to elements; "affine" needs bytes in pairs, and a sum of records floats
    of up to 64 bits.
    """
    impossible = set()
    if element.significant().sum() % 2:
        impossible.add("affine")
    if element.dtype.char in "gG":
        impossible.add(REPRODUCIBLE)
    return [name for name in OPERATORS[element.kind] if name not in impossible]


def commutes(operator: str) -> bool:
    return operator != "affine"


def make_operator(operator: str, element: Element) -> MPI.Op:
    """A predefined operator, or a new one of ours."""
    if operator == REPRODUCIBLE:
        return MPI.SUM
    if operator not in USERS:
        return getattr(MPI, operator)
    used, size = element.significant(), element.dtype.itemsize
    combine = _affine if operator == "affine" else np.add

    def call(left, right, datatype):
        one, other = (np.frombuffer(x, np.uint8).reshape(-1, size) for x in (left, right))
        other[:, used] = combine(one[:, used], other[:, used])

    return MPI.Op.Create(call, commute=commutes(operator))


def _affine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of pairs of bytes (a, b), each the function x -> a x + b modulo 256: one after the other."""
    result = np.empty_like(one)
    result[:, 0::2] = one[:, 0::2] * other[:, 0::2]
    result[:, 1::2] = one[:, 0::2] * other[:, 1::2] + one[:, 1::2]
    return result


# Values.

OPEN_MPI = "Open MPI" in MPI.Get_library_version()


def fill(
    memory: np.ndarray, element: Element, operator: str | None, exact: bool, seed: list[int]
) -> None:
    """Put values into the bytes of a buffer.

    They are what the operator can be checked with: floats whose reductions are
    exact in any order, unless other ones are asked for.
    """
    rng = np.random.default_rng(seed)
    memory[:] = np.frombuffer(rng.bytes(memory.size), np.uint8)
    view = memory.view(element.dtype)
    match element.kind:
        case "integer" if operator == "SUM" and OPEN_MPI and element.dtype.itemsize < 4:
            # Its own saturates (with AVX) where C and numpy wrap around: no overflow.
            most = np.iinfo(element.dtype).max // MPI.COMM_WORLD.size
            view[:] = rng.integers(0, most, view.size, endpoint=True)
        case "logical":
            view[:] = rng.integers(0, 2, view.size)
        case "float" | "complex":
            view[:] = _numbers(rng, view.size, element.kind, operator, exact)
            if operator == "SUM" and exact:  # two of them make infinity, in any order
                view[rng.random(view.size) < 0.1] = 0.6 * np.finfo(element.dtype).max
        case "pair":
            view["value"] = rng.integers(-3, 4, view.size)
            view["place"] = rng.integers(0, 100, view.size)
    if operator == "affine":  # an even factor would forget what comes after
        factors = np.flatnonzero(element.significant())[0::2]
        memory.reshape(-1, element.dtype.itemsize)[:, factors] |= 1


def _numbers(rng, n: int, kind: str, operator: str | None, exact: bool) -> np.ndarray:
    if not exact:
        values = 1 + rng.random(n)  # one sign: nothing cancels
        return values + 0.1j * rng.random(n) if kind == "complex" else values
    if operator == "PROD":
        values = rng.choice([1, 2, 3, -1, -2], n)
        return values * rng.choice([1, 1j, 1 + 1j], n) if kind == "complex" else values
    values = rng.integers(-1000, 1000, n)
    return values + 1j * rng.integers(-1000, 1000, n) if kind == "complex" else values
