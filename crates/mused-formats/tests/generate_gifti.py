"""Writes the GIFTI files that tests/gifti.rs reads, and what nibabel reads back. Needs nibabel and numpy.

    python generate_gifti.py
"""

import base64
import pathlib
import zlib

import nibabel as nib
import numpy as np

here = pathlib.Path(__file__).parent / "files" / "gifti"
here.mkdir(parents=True, exist_ok=True)
expected = {}
kinds = {"u1": "UINT8", "i4": "INT32", "f4": "FLOAT32"}


def array(values, kind, encoding, big, column, intent="NIFTI_INTENT_NONE"):
    raw = values.astype((">" if big else "<") + kind).tobytes("F" if column else "C")
    external = 'ExternalFileName="" ExternalFileOffset=""'
    if encoding == "ASCII":
        data = " ".join(map(str, values.ravel("F" if column else "C")))
    elif encoding == "Base64Binary":
        data = base64.b64encode(raw).decode()
        data = data[:10] + "\n  " + data[10:]
    elif encoding == "GZipBase64Binary":
        data = base64.b64encode(zlib.compress(raw)).decode()
    else:
        (here / "values.dat").write_bytes(bytes(8) + raw)
        data, external = "", 'ExternalFileName="values.dat" ExternalFileOffset="8"'
    dims = " ".join(f'Dim{axis}="{length}"' for axis, length in enumerate(values.shape))
    return (
        f'<DataArray Intent="{intent}" DataType="NIFTI_TYPE_{kinds[kind]}" Encoding="{encoding}" '
        f'ArrayIndexingOrder="{"Column" if column else "Row"}MajorOrder" Dimensionality="{values.ndim}" {dims} '
        f'Endian="{"Big" if big else "Little"}Endian" {external}>'
        f"<MetaData><MD><Name>Name</Name><Value><![CDATA[a < b]]></Value></MD></MetaData><Data>{data}</Data></DataArray>\n"
    )


def document(name, arrays, extra=""):
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<GIFTI Version="1.0" NumberOfDataArrays="{len(arrays)}">\n'
    (here / name).write_text(text + extra + "".join(arrays) + "</GIFTI>\n")
    for index, array in enumerate(nib.load(here / name).darrays):
        expected[f"{name[:-4]}_{index}"] = array.data


values = (np.arange(12).reshape(4, 3) * 7) % 31
for encoding in ["ASCII", "Base64Binary", "GZipBase64Binary"]:
    forms = [(kind, big, column) for kind in kinds for big in [False, True] for column in [False, True]]
    arrays = [array(values + (0.1 if kind == "f4" else 0), kind, encoding, big, column) for kind, big, column in forms]
    document(f"{encoding}.gii", arrays)
document("external.gii", [array(values, "i4", "ExternalFileBinary", True, False)])
table = (
    "<MetaData><MD><Name>AnatomicalStructurePrimary</Name><Value>CortexLeft</Value></MD></MetaData>"
    '<LabelTable><Label Key="0" Red="1" Green="1" Blue="1" Alpha="0">???</Label>'
    '<Label Key="7" Red="0.25" Green="0" Blue="0.5" Alpha="1">V1 &amp; V2 &#60;</Label></LabelTable>'
)
document("labels.gii", [array(np.array([0, 7, 7, 0]), "i4", "GZipBase64Binary", False, False, "NIFTI_INTENT_LABEL")], table)
(here / "tiny.gii").write_text((here / "labels.gii").read_text())
np.savez_compressed(here / "expected.npz", **expected)

# What tests/gifti.rs compares byte by byte with what the crate writes; nibabel reads it here.
if (here / "written.func.gii").exists():
    image = nib.load(here / "written.func.gii")
    assert np.array_equal(image.darrays[0].data, np.array([0.5, -1.25, np.nan, 3], "f4"), equal_nan=True)
    assert image.darrays[0].data.dtype == np.float32
    assert image.meta == {"AnatomicalStructurePrimary": "CortexLeft"} and image.darrays[0].meta == {"Name": "AUC & <more>"}
    assert image.darrays[0].intent == nib.nifti1.intent_codes["NIFTI_INTENT_SHAPE"]
    both = nib.load(here / "written.surf.gii")
    assert (both.agg_data("pointset") == values[:, :3]).all() and both.agg_data("triangle").dtype == np.int32
    assert (both.darrays[0].coordsys.xform == np.diag([1, 2, 3, 1])).all()
    assert both.labeltable.get_labels_as_dict() == {3: "V4 > \"V3\""}
