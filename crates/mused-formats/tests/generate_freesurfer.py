"""Writes the FreeSurfer files that tests/freesurfer.rs reads, and what nibabel reads back. Needs nibabel and numpy.

    python generate_freesurfer.py
"""

import pathlib

import nibabel as nib
import numpy as np
from nibabel import freesurfer as fs

here = pathlib.Path(__file__).parent / "files" / "freesurfer"
here.mkdir(parents=True, exist_ok=True)
expected = {}
points = (np.arange(15).reshape(5, 3) * 0.7 - 3).astype("f4")
faces = np.array([[0, 1, 2], [2, 3, 4], [4, 0, 1]], "i4")
fs.write_geometry(here / "lh.white", points, faces, "created by a test")
expected["points"], expected["faces"] = fs.read_geometry(here / "lh.white")
values = np.array([0.5, -1.25, 3, 1e-3, 7], "f4")
fs.write_morph_data(here / "lh.curv", values)
expected["curv"] = fs.read_morph_data(here / "lh.curv")
old = (5).to_bytes(3, "big") + (3).to_bytes(3, "big") + np.array([10, -250, 300, 0, 7], ">i2").tobytes()
(here / "lh.old_curv").write_bytes(old)
expected["old_curv"] = fs.read_morph_data(here / "lh.old_curv").astype("f4")

colours = np.array([[25, 5, 25, 0], [25, 100, 40, 0], [125, 100, 160, 0]])
ids = np.array([1, 2, -1, 0, 2])
fs.write_annot(here / "lh.annot", ids, np.c_[colours, np.zeros(3, int)], ["unknown", "bankssts", "V1"], fill_ctab=True)
expected["annotation"] = fs.read_annot(here / "lh.annot")[0]
packed = colours[:, 0] + colours[:, 1] * 256 + colours[:, 2] * 65536
pairs = np.c_[np.arange(5), np.where(ids < 0, 0, packed[ids])].astype(">i4")
old = np.array([5], ">i4").tobytes() + pairs.tobytes() + np.array([1, 3, 4], ">i4").tobytes() + b"tab\0"
for name, colour in zip([b"unknown\0", b"bankssts\0", b"V1\0"], colours):
    old += np.array([len(name)], ">i4").tobytes() + name + colour.astype(">i4").tobytes()
(here / "lh.old.annot").write_bytes(old)
assert (fs.read_annot(here / "lh.old.annot")[0] == expected["annotation"]).all()

(here / "lh.V1.label").write_text("#!ascii label  , from subject x vox2ras=TkReg\n2\n3  -1.5 2.25 3.000 0.5\n12  4 5 6 -0.25\n")
assert (fs.read_label(here / "lh.V1.label") == [3, 12]).all()

affine = np.array([[0, 0, -2.0, 10], [-1.5, 0, 0, 20], [0, 1.25, 0, -30], [0, 0, 0, 1]])
volume = np.arange(2 * 3 * 4 * 2).reshape(2, 3, 4, 2)
for kind in "u1 i2 i4 f4 u2".split():
    image = fs.MGHImage(volume.astype(kind), affine)
    image.to_filename(here / f"{kind}.mgz")
    expected[kind], expected[f"{kind}_affine"] = np.asarray(nib.load(here / f"{kind}.mgz").dataobj), image.affine
fs.MGHImage(volume[..., 0].astype("f4"), affine).to_filename(here / "plain.mgh")
data = bytearray((here / "plain.mgh").read_bytes())
data[28:30] = bytes(2)
(here / "nowhere.mgh").write_bytes(data)
for name in ["plain", "nowhere"]:
    image = nib.load(here / f"{name}.mgh")
    expected[name], expected[f"{name}_affine"] = np.asarray(image.dataobj), image.affine
# Here nibabel departs from FreeSurfer, which takes x to the left, y down, z to the front.
coronal = np.array([[-1.0, 0, 0, 1], [0, 0, 1, -2], [0, -1, 0, 1.5], [0, 0, 0, 1]])
expected["nowhere_affine"] = coronal
np.savez_compressed(here / "expected.npz", **{name: np.asarray(values) for name, values in expected.items()})
