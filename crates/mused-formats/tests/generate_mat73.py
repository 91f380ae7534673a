"""Writes files/version73.mat: the variables of fixtures/plain.mat in the form MATLAB 7.3 gives them, which scipy cannot
write. Needs h5py and numpy. The form was taken from files that MATLAB wrote.

    python generate_mat73.py
"""

import pathlib

import h5py
import numpy as np

path = pathlib.Path(__file__).parent / "files" / "version73.mat"
classes = {"f4": "single", "f8": "double"}


def class_of(values):
    return classes.get(values.dtype.str[1:], str(values.dtype))


def put(group, name, value):
    """Writes a value; MATLAB's dimensions stand reversed."""
    if isinstance(value, dict):
        inner = group.create_group(name)
        inner.attrs["MATLAB_class"] = np.bytes_("struct")
        for field, content in value.items():
            put(inner, field, content)
        return inner
    if isinstance(value, str):
        units = np.array([[ord(character) for character in value]], "<u2") if value else np.zeros((0, 0), "<u2")
        return array(group, name, units, "char", MATLAB_int_decode=2)
    value = np.atleast_2d(value)
    if value.dtype == object:
        return array(group, name, references(value), "cell")
    if value.dtype.kind == "U":
        width = max(map(len, value[0]))
        units = np.array([[ord(character) for character in row.ljust(width)] for row in value[0]], "<u2")
        return array(group, name, units, "char", MATLAB_int_decode=2)
    if value.dtype == bool:
        return array(group, name, value.astype("u1"), "logical", MATLAB_int_decode=1)
    if value.dtype.kind == "c":
        return array(group, name, complex_pairs(value), "double")
    return array(group, name, value, class_of(value))


def complex_pairs(value):
    pairs = np.zeros(value.shape, [("real", "f8"), ("imag", "f8")])
    pairs["real"], pairs["imag"] = value.real, value.imag
    return pairs


def array(group, name, value, matlab_class, **attributes):
    if value.size == 0:
        dataset = group.create_dataset(name, data=np.array(value.shape, "<u8"))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        options = dict(chunks=True, compression="gzip") if value.size > 8 and value.dtype.kind != "O" else {}
        kind = h5py.ref_dtype if value.dtype.kind == "O" else value.dtype
        dataset = group.create_dataset(name, data=value.T, dtype=kind, **options)
    dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    for key, content in attributes.items():
        dataset.attrs[key] = np.int32(content)
    return dataset


def references(values):
    made = np.zeros(values.shape, object)
    refs = file.require_group("#refs#")
    for index in np.ndindex(values.shape):
        made[index] = put(refs, f"r{len(refs)}", values[index]).ref
    return made


with h5py.File(path, "w", libver="earliest", userblock_size=512) as file:
    shape = (1, 3, 2)
    rdms, names = np.empty(shape, object), np.empty(shape, object)
    for index in np.ndindex(shape):
        rdms[index] = 100.0 * index[1] + 10.0 * index[2] + np.arange(6.0).reshape(2, 3)
        names[index] = f"s{index[1]}{index[2]}"
    structures = file.create_group("structures")
    structures.attrs["MATLAB_class"] = np.bytes_("struct")
    for name, values in [("rdm", rdms), ("name", names)]:
        structures.create_dataset(name, data=references(values).T, dtype=h5py.ref_dtype)
    put(file, "one", {"inner": {"value": np.array([[1.0, 2.0]])}})
    cells = np.empty((1, 4), object)
    cells[0] = ["animate", "", "Gesicht ä", np.arange(3.0)]
    put(file, "cells", cells)
    letters = np.empty((2, 2), object)
    letters[:] = [["a", "c"], ["b", "d"]]
    put(file, "names", letters)
    put(file, "rows", np.array(["two", "three"]))
    put(file, "text", "hello")
    cube = np.arange(24.0).reshape(2, 3, 4)
    array(file, "cube", cube, "double")
    put(file, "flag", np.array([[True, False]]))
    put(file, "nothing", np.zeros((0, 0)))
    put(file, "imaginary", np.array([[1 + 2j]]))
    for kind in "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split():
        put(file, f"n_{kind}", np.array([[1, 2], [3, 100]], kind))
    put(file, "n_single", np.array([[1, 2], [3, 100]], "f4"))
    put(file, "n_double", np.array([[1, 2], [3, 100]], "f8"))
    sparse = file.create_group("sparse")
    sparse.attrs["MATLAB_class"], sparse.attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(3)

header = b"MATLAB 7.3 MAT-file, Platform: none, Created on: never HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
data = bytearray(path.read_bytes())
data[:128] = header
path.write_bytes(data)
