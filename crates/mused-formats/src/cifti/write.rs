use std::io::Write;
use std::path::Path;

use quick_xml::escape::escape;

use super::matrix::EXTENSION_CODE;
use super::{BrainModel, BrainModels, Location, Volume};
use crate::{Error, Result, WholeFile};

/// Bytes of a NIfTI-2 header, and with the 4 that say that extensions follow.
const HEADER: usize = 540;
const BEFORE_EXTENSION: usize = HEADER + 4;
/// Codes of `nifti1.h` and of CIFTI-2 for float32 and for dense scalars.
const FLOAT32: i16 = 16;
const DENSE_SCALARS: i32 = 3006;

/// Writes a .dscalar.nii of float32: maps, each with its name and a value for every vertex and voxel
/// of `brain`, in its order. The file appears whole or not at all.
///
/// # Errors
/// No map; a map with more or fewer values than `brain` has indices; a full disk.
pub fn write_scalars(
    path: impl AsRef<Path>,
    brain: &BrainModels,
    maps: &[(&str, &[f32])],
) -> Result<()> {
    let path = path.as_ref();
    write(path, brain, maps).map_err(|error| error.in_file(path))
}

fn write(path: &Path, brain: &BrainModels, maps: &[(&str, &[f32])]) -> Result<()> {
    let rows: usize = brain.models.iter().map(BrainModel::length).sum();
    if maps.is_empty() || rows == 0 {
        let found = format!("{} maps of {rows} values", maps.len());
        return Err(Error::mismatch("maps", "a value and a map at least", found));
    }
    if let Some((_, values)) = maps.iter().find(|(_, values)| values.len() != rows) {
        let found = values.len().to_string();
        return Err(Error::mismatch("values of a map", rows.to_string(), found));
    }
    let mut xml = xml(brain, maps).into_bytes();
    // Extensions are whole multiples of 16 bytes, their size and code included.
    xml.resize((xml.len() + 8).next_multiple_of(16) - 8, 0);
    let size = i32::try_from(xml.len() + 8).map_err(|_| {
        let found = format!("{} bytes", xml.len());
        Error::mismatch("brain models", "XML of less than 2 GiB", found)
    })?;
    let mut file = WholeFile::create(path)?;
    file.write_all(&header(
        [maps.len(), rows],
        BEFORE_EXTENSION + xml.len() + 8,
    ))?;
    file.write_all(&[1, 0, 0, 0])?;
    file.write_all(&size.to_le_bytes())?;
    file.write_all(&EXTENSION_CODE.to_le_bytes())?;
    file.write_all(&xml)?;
    for row in 0..rows {
        for (_, values) in maps {
            file.write_all(&values[row].to_le_bytes())?;
        }
    }
    file.finish()
}

fn header([columns, rows]: [usize; 2], data_offset: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend((HEADER as i32).to_le_bytes());
    bytes.extend(b"n+2\0\r\n\x1a\n");
    bytes.extend(FLOAT32.to_le_bytes());
    bytes.extend(32_i16.to_le_bytes());
    let dimensions = [6, 1, 1, 1, 1, columns as i64, rows as i64, 1];
    bytes.extend(dimensions.iter().flat_map(|length| length.to_le_bytes()));
    bytes.resize(104, 0);
    bytes.extend([1_f64; 8].iter().flat_map(|step| step.to_le_bytes()));
    bytes.extend((data_offset as i64).to_le_bytes());
    bytes.extend([1_f64, 0.].iter().flat_map(|value| value.to_le_bytes()));
    bytes.resize(504, 0);
    bytes.extend(DENSE_SCALARS.to_le_bytes());
    bytes.extend(b"ConnDenseScalar\0");
    bytes.resize(HEADER, 0);
    bytes
}

fn xml(brain: &BrainModels, maps: &[(&str, &[f32])]) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CIFTI Version=\"2\"><Matrix>");
    xml += "<MatrixIndicesMap AppliesToMatrixDimension=\"0\" ";
    xml += "IndicesMapToDataType=\"CIFTI_INDEX_TYPE_SCALARS\">";
    for (name, _) in maps {
        let name = escape(*name);
        xml += &format!("<NamedMap><MapName>{name}</MapName></NamedMap>");
    }
    xml += "</MatrixIndicesMap><MatrixIndicesMap AppliesToMatrixDimension=\"1\" ";
    xml += "IndicesMapToDataType=\"CIFTI_INDEX_TYPE_BRAIN_MODELS\">";
    if let Some(volume) = &brain.volume {
        push_volume(&mut xml, volume);
    }
    let mut start = 0;
    for model in &brain.models {
        push_model(&mut xml, model, start);
        start += model.length();
    }
    xml += "</MatrixIndicesMap></Matrix></CIFTI>\n";
    xml
}

fn push_volume(xml: &mut String, volume: &Volume) {
    let [x, y, z] = volume.shape;
    *xml += &format!("<Volume VolumeDimensions=\"{x},{y},{z}\">");
    *xml += "<TransformationMatrixVoxelIndicesIJKtoXYZ MeterExponent=\"-3\">";
    for [a, b, c, d] in volume.affine {
        *xml += &format!("\n{a} {b} {c} {d}");
    }
    *xml += "</TransformationMatrixVoxelIndicesIJKtoXYZ></Volume>";
}

fn push_model(xml: &mut String, model: &BrainModel, start: usize) {
    let (count, structure) = (model.length(), escape(&model.structure));
    *xml += &format!("<BrainModel IndexOffset=\"{start}\" IndexCount=\"{count}\" ");
    *xml += &format!("BrainStructure=\"{structure}\" ");
    let words = |numbers: &[usize]| {
        let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
        words.join(" ")
    };
    match &model.locations {
        Location::Surface { vertices, indices } => {
            *xml += &format!(
                "ModelType=\"CIFTI_MODEL_TYPE_SURFACE\" SurfaceNumberOfVertices=\"{vertices}\">\
                 <VertexIndices>{}</VertexIndices>",
                words(indices)
            );
        }
        Location::Voxels(voxels) => {
            let lines: Vec<String> = voxels.iter().map(|voxel| words(voxel)).collect();
            *xml += &format!(
                "ModelType=\"CIFTI_MODEL_TYPE_VOXELS\"><VoxelIndicesIJK>{}</VoxelIndicesIJK>",
                lines.join("\n")
            );
        }
    }
    *xml += "</BrainModel>";
}
