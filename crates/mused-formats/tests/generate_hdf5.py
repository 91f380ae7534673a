"""Writes the HDF5 files that tests/hdf5.rs reads, and what h5py reads back from them as .npy. Needs h5py and numpy.

    python generate_hdf5.py
"""

import pathlib

import h5py
import numpy as np

here = pathlib.Path(__file__).parent / "files" / "hdf5"
here.mkdir(parents=True, exist_ok=True)
expected = {}


def save(file, name, values, **options):
    dataset = file.create_dataset(name, data=values, **options)
    dataset.file.flush()
    expected[f"{pathlib.Path(file.filename).stem}_{name.replace('/', '_')}"] = dataset[()]


def compact(file, name, values):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(values.shape)
    kind = h5py.h5t.py_create(values.dtype)
    dataset = h5py.h5d.create(file.id, name.encode(), kind, space, properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
    expected[f"{pathlib.Path(file.filename).stem}_{name}"] = values


def common(file):
    cube = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    for kind in "i1 u1 <i2 >i2 <u2 >u2 <i4 >i4 <u4 >u4 <i8 >i8 <u8 >u8 <f2 <f4 >f4 <f8 >f8".split():
        name = kind.replace("<", "le_").replace(">", "be_")
        save(file, f"types/{name}", np.arange(-3 if "u" not in kind else 0, 5).astype(kind))
    save(file, "contiguous", cube.astype("<i4"))
    compact(file, "compact", np.arange(12, dtype="<i2").reshape(3, 4))
    save(file, "chunked", cube.astype("<i2"), chunks=(2, 3, 4))
    save(file, "filtered", cube.astype(">f4"), chunks=(2, 4, 7), compression="gzip", shuffle=True, fletcher32=True)
    save(file, "whole_rows", cube.astype("<i2"), chunks=(1, 6, 7), compression="gzip")
    save(file, "checksum", cube.astype("u1"), chunks=(5, 5, 5), fletcher32=True)
    save(file, "scalar", np.float64(2.5))
    save(file, "none", np.zeros((0, 3), "f4"))
    save(file, "flags", np.array([True, False, True]))
    holes = file.create_dataset("holes", (6, 4), "<f4", chunks=(2, 2), fillvalue=-1.5)
    holes[2:4, 2:] = 7
    expected[f"{pathlib.Path(file.filename).stem}_holes"] = holes[()]
    file.create_dataset("unwritten", (3,), "<i4", fillvalue=9)
    file.create_dataset("null", dtype="f4", shape=None)
    file.create_dataset("fixed", data=np.array([b"one", b"three", b""], "S5"))
    file.create_dataset("variable", data=["short", "", "Gesicht ä", "a longer one"], dtype=h5py.string_dtype())
    file.create_dataset("word", data="alone", dtype=h5py.string_dtype())
    references = file.create_dataset("references", (2,), h5py.ref_dtype)
    references[0], references[1] = file["compact"].ref, file["types"].ref
    file.create_dataset("compound", data=np.zeros(2, [("a", "f4"), ("b", "i2")]))
    file.create_dataset("lzf", data=np.arange(100), compression="lzf")
    file.create_dataset("scale_offset", data=np.arange(40, dtype="i2"), scaleoffset=0)
    brain_float = h5py.h5t.IEEE_F16LE.copy()
    brain_float.set_fields(15, 7, 8, 0, 7)
    brain_float.set_ebias(127)
    h5py.h5d.create(file.id, b"bfloat16", brain_float, h5py.h5s.create_simple((3,)))
    for name, value in [("number", 3), ("numbers", np.array([1.5, -2.0])), ("text", "voxels"), ("bytes", np.bytes_(b"mm"))]:
        file["chunked"].attrs[name] = value
        file.attrs[name] = value
    file["chunked"].attrs["names"] = ["x", "yy"]
    file["soft"] = h5py.SoftLink("/types/le_i2")
    file["external"] = h5py.ExternalLink("other.h5", "/x")


with h5py.File(here / "old.h5", "w", libver="earliest") as file:
    common(file)
    for index in range(60):
        file.create_group(f"many/group{index:02}")
    deep = np.arange(40 * 30, dtype="<i2").reshape(40, 30)
    save(file, "deep_tree", deep, chunks=(1, 3))

with h5py.File(here / "new.h5", "w", libver="latest") as file:
    common(file)
    for index in range(60):
        file.create_group(f"many/group{index:02}")
    for index in range(30):
        file["contiguous"].attrs[f"attribute{index:02}"] = index
    cube = np.arange(4 * 5 * 6, dtype="<i2").reshape(4, 5, 6)
    save(file, "single", cube, chunks=(4, 5, 6))
    save(file, "single_filtered", cube, chunks=(4, 5, 6), compression="gzip", shuffle=True)
    save(file, "fixed_array", cube, chunks=(1, 2, 4))
    save(file, "fixed_array_filtered", cube, chunks=(1, 2, 4), compression="gzip")
    save(file, "fixed_array_paged", np.arange(1100).astype("u1"), chunks=(1,))
    save(file, "extensible", cube, chunks=(1, 2, 4), maxshape=(None, 5, 6))
    save(file, "extensible_second", cube, chunks=(2, 1, 4), maxshape=(4, None, 6))
    save(file, "extensible_filtered", cube, chunks=(1, 2, 4), maxshape=(None, 5, 6), compression="gzip")
    save(file, "extensible_long", np.arange(3000).astype("u1"), chunks=(1,), maxshape=(None,))
    save(file, "tree", cube, chunks=(1, 2, 2), maxshape=(None, None, 6))
    save(file, "tree_filtered", np.arange(600, dtype="<i2").reshape(30, 20), chunks=(1, 2), maxshape=(None, None), compression="gzip")
    save(file, "tree_deep", np.arange(600, dtype="<i2").reshape(30, 20), chunks=(1, 1), maxshape=(None, None))
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_chunk((2, 2, 4))
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    dataset = h5py.h5d.create(file.id, b"implicit", h5py.h5t.STD_I16LE, h5py.h5s.create_simple(cube.shape), early)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, cube)
    expected["new_implicit"] = cube

rows = np.array([list(b"row %02d of sixteen" % row)[:16] for row in range(4)], "u1")
with h5py.File(here / "new.h5", "a", libver="latest") as file:
    save(file, "checked_rows", rows, chunks=(1, 16), fletcher32=True)

# Small ones of their own, for damage at every byte.
for name, libver in [("tiny_old", "earliest"), ("tiny_new", "latest")]:
    with h5py.File(here / f"{name}.h5", "w", libver=libver) as file:
        values = np.arange(12, dtype="<i2").reshape(3, 4)
        save(file, "chunked", values, chunks=(2, 3), compression="gzip", shuffle=True, fletcher32=True)
        save(file, "plain", values)
        if libver == "latest":
            save(file, "extensible", values, chunks=(1, 2), maxshape=(None, 4))
            save(file, "tree", values, chunks=(1, 2), maxshape=(None, None))
        file.create_dataset("words", data=["a", "bc"], dtype=h5py.string_dtype())
        file["group/inner"] = values
        file["plain"].attrs["text"] = "mm"

np.savez_compressed(here / "expected.npz", **{name: np.asarray(values).astype("<f8") for name, values in expected.items()})
