"""Writes the NIfTI files that tests/nifti.rs reads, and what nibabel reads back. Needs nibabel and numpy.

    python generate_nifti.py
"""

import gzip
import pathlib

import nibabel as nib
import numpy as np

here = pathlib.Path(__file__).parent / "files" / "nifti"
here.mkdir(parents=True, exist_ok=True)
arrays = {}
oblique = np.array([[1.9, -0.3, 0.2, -90.5], [0.3, 1.95, -0.1, -120.0], [-0.15, 0.14, 2.4, 60.25], [0, 0, 0, 1]])
sheared = oblique + np.array([[0, 0.4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def note(name):
    """What nibabel reads from a file."""
    image = nib.load(here / name)
    values = np.asarray(image.dataobj)
    key = name.replace(".", "_")
    arrays[key] = values.astype("f4")
    arrays[f"{key}_affine"] = image.affine
    arrays[f"{key}_zooms"] = image.header["pixdim"][1 : 1 + image.ndim]


def header_of(kind, big):
    return (nib.Nifti1Header if kind is nib.Nifti1Image else nib.Nifti2Header)(endianness=">" if big else "<")


values = np.arange(4 * 3 * 2 * 3).reshape(4, 3, 2, 3)
for kind in "u1 i1 i2 u2 i4 u4 i8 u8 f4 f8".split():
    for version, image in [("1", nib.Nifti1Image), ("2", nib.Nifti2Image)]:
        for big in [False, True]:
            header = header_of(image, big)
            header.set_data_dtype(np.dtype(kind).newbyteorder(">" if big else "<"))
            name = f"{kind}_{version}{'be' if big else 'le'}.nii"
            image(values.astype(kind), np.diag([2, 2, 2, 1]), header).to_filename(here / name)
            note(name)

scaled = nib.Nifti1Image((values * 7.3 - 100.1), oblique)
scaled.header.set_data_dtype("i2")
scaled.header.set_xyzt_units("mm", "msec")
scaled.header.set_zooms((2, 2, 2.5, 1350))
scaled.header["descrip"] = b"a description"
scaled.to_filename(here / "scaled.nii.gz")
note("scaled.nii.gz")

# The affine, by every combination of codes (set in the bytes: nibabel itself would make them agree).
for name, sform, qform in [("sform", 1, 1), ("qform", 0, 1), ("neither", 0, 0), ("sform_invalid", 17, 1), ("mirrored", 0, 4)]:
    image = nib.Nifti1Image(values[..., 0].astype("i2"), sheared)
    matrix = oblique @ np.diag([1, 1, -1, 1]) if name == "mirrored" else oblique
    image.set_qform(matrix, code=1)
    image.set_sform(sheared, code=1)
    path = here / f"{name}.nii"
    image.to_filename(path)
    data = bytearray(path.read_bytes())
    data[252:256] = np.array([qform, sform], "<i2").tobytes()
    path.write_bytes(data)
    note(f"{name}.nii")
loaded = nib.load(here / "qform.nii")
rotated = loaded.affine
assert not np.allclose(rotated, sheared, atol=0.1) and loaded.header["sform_code"] == 0

# A header that nibabel repairs: a length of 0, one below 0, a qfac of 0.
data = bytearray((here / "qform.nii").read_bytes())
data[76:92] = np.array([0, -2, 0, 2.5], "<f4").tobytes()
(here / "repaired.nii").write_bytes(data)
note("repaired.nii")

two_dimensions = nib.Nifti1Image(np.arange(6, dtype="f4").reshape(3, 2), None)
two_dimensions.to_filename(here / "two_dimensions.nii")
note("two_dimensions.nii")

pair = nib.Nifti1Pair(values.astype("i2"), oblique)
pair.to_filename(here / "pair.img")
note("pair.img")
nib.Nifti2Pair(values.astype("f4"), oblique).to_filename(here / "zipped.img.gz")
note("zipped.img.gz")

# Two gzip members, the border within a value.
whole = (here / "i2_1le.nii").read_bytes()
(here / "members.nii.gz").write_bytes(gzip.compress(whole[:371], mtime=0) + gzip.compress(whole[371:], mtime=0))
note("members.nii.gz")

for kind, name in [("c8", "complex"), ([("R", "u1"), ("G", "u1"), ("B", "u1")], "rgb")]:
    nib.Nifti1Image(np.zeros((2, 2, 2), kind), np.eye(4)).to_filename(here / f"{name}.nii")

np.savez_compressed(here / "expected.npz", **arrays)

# tests/nifti.rs compares what the crate writes with these, byte by byte where they are plain; here nibabel reads them.
for name, affine in [("written.nii", rotated), ("written_mirrored.nii", np.diag([-2, 2, 2.5, 1])), ("written_sheared.nii", sheared)]:
    if (here / name).exists():
        image = nib.load(here / name)
        assert (np.asarray(image.dataobj) == values).all() and image.get_data_dtype() == "<f4"
        assert np.allclose(image.affine, affine, atol=1e-5), image.affine - affine
        assert image.header["sform_code"] == 2 and image.header["qform_code"] == (0 if "sheared" in name else 2)
        if "sheared" not in name:
            assert np.allclose(image.get_qform(), affine, atol=1e-5), image.get_qform() - affine
        assert image.header.get_zooms()[3] == 1.5 and image.header.get_xyzt_units() == ("mm", "sec")
