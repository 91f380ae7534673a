//! A value a voxel, back in the subject's space: `mused map`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mused_formats::cifti::write_scalars;
use mused_formats::nifti::{NewNifti, NiftiWriter};
use mused_formats::npy::{self, Dtype};
use mused_formats::table::Table;
use mused_stats::moments::{Moments, varies};
use ndarray::Ix1;

use crate::{Dataset, Error, Result, Subject};

/// What can be computed of the responses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Mean over trials.
    Mean,
    /// Standard deviation over trials, of the population (divided by their number).
    Sd,
    /// Number of the voxel's region, from 1, in the order of [`Dataset::roi_names`].
    Roi,
    /// Pearson's r over stimuli between the means of odd and of even presentations (first, third, …
    /// and second, fourth, …), over stimuli with at least two; NaN where either side never varies.
    Repeatability,
}

impl Quantity {
    /// Its name on the command line and in maps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sd => "sd",
            Self::Roi => "roi",
            Self::Repeatability => "repeatability",
        }
    }
}

/// A quantity for each of a subject's voxels.
///
/// # Errors
/// When responses cannot be read or are not finite; fewer than 3 stimuli shown twice, for
/// repeatability.
pub fn compute(dataset: &Dataset, subject: usize, quantity: Quantity) -> Result<Vec<f32>> {
    let person = &dataset.subjects[subject];
    let values = match quantity {
        Quantity::Mean => moments(person)?.means().to_vec(),
        Quantity::Sd => {
            let moments = moments(person)?;
            moments.population_variances().map(f64::sqrt).collect()
        }
        Quantity::Roi => {
            let names = dataset.roi_names();
            let numbers: HashMap<&str, usize> = names.into_iter().zip(1..).collect();
            let voxels = person.voxels.iter();
            voxels
                .map(|voxel| numbers.get(voxel.roi.as_str()).map_or(0.0, |n| *n as f64))
                .collect()
        }
        Quantity::Repeatability => repeatability(person)?,
    };
    Ok(values.into_iter().map(|value| value as f32).collect())
}

/// Of each voxel, over trials.
pub(crate) fn moments(subject: &Subject) -> Result<Moments> {
    let mut moments = Moments::new(subject.voxels.len());
    let mut row = vec![0.0; subject.voxels.len()];
    for trial in 0..subject.trials.len() {
        subject.read_response(trial, &mut row)?;
        moments.add(&row);
    }
    Ok(moments)
}

fn repeatability(subject: &Subject) -> Result<Vec<f64>> {
    let mut shown: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, trial) in subject.trials.iter().enumerate() {
        shown.entry(trial.stimulus).or_default().push(row);
    }
    shown.retain(|_, rows| rows.len() > 1);
    if shown.len() < 3 {
        return Err(Error::Request(format!(
            "subject {}: expected at least 3 stimuli shown more than once, found {}",
            subject.id,
            shown.len()
        )));
    }
    let voxels = subject.voxels.len();
    let mut sums = vec![Correlation::default(); voxels];
    let mut row = vec![0.0; voxels];
    for rows in shown.values_mut() {
        rows.sort_by_key(|&row| subject.trials[row].repeat);
        let mut halves = [vec![0.0; voxels], vec![0.0; voxels]];
        for (place, &trial) in rows.iter().enumerate() {
            subject.read_response(trial, &mut row)?;
            for (sum, value) in halves[place % 2].iter_mut().zip(&row) {
                *sum += f64::from(*value);
            }
        }
        let [odd, even] = &halves;
        let sizes = [rows.len().div_ceil(2) as f64, (rows.len() / 2) as f64];
        for ((sums, odd), even) in sums.iter_mut().zip(odd).zip(even) {
            sums.add(odd / sizes[0], even / sizes[1]);
        }
    }
    Ok(sums.into_iter().map(Correlation::r).collect())
}

/// Pearson's r in one pass.
#[derive(Clone, Copy, Debug, Default)]
struct Correlation {
    count: f64,
    means: [f64; 2],
    squares: [f64; 2],
    products: f64,
}

impl Correlation {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let [dx, dy] = [x - self.means[0], y - self.means[1]];
        self.means[0] += dx / self.count;
        self.means[1] += dy / self.count;
        let [after_x, after_y] = [x - self.means[0], y - self.means[1]];
        self.squares[0] += dx * after_x;
        self.squares[1] += dy * after_y;
        self.products += dx * after_y;
    }

    fn r(self) -> f64 {
        let vary = |side: usize| varies(self.means[side], (self.squares[side] / self.count).sqrt());
        match vary(0) && vary(1) {
            true => self.products / (self.squares[0].sqrt() * self.squares[1].sqrt()),
            false => f64::NAN,
        }
    }
}

/// Values computed elsewhere, for each of a subject's voxels: a .npy array with one a voxel, or a table
/// with a column `value` and either a row a voxel or a column `roi` and a row a region. Voxels of
/// regions it does not list are 0.
///
/// # Errors
/// Another number of values; a region the subject does not have.
pub fn read_values(dataset: &Dataset, subject: usize, path: &Path) -> Result<Vec<f32>> {
    let person = &dataset.subjects[subject];
    let values = if path.extension().is_some_and(|extension| extension == "npy") {
        let array = npy::read_npy_f32(path)?;
        let shape = format!("shape {:?}", array.shape());
        let array = array.into_dimensionality::<Ix1>();
        array
            .map_err(|_| Error::invalid(path, format!("expected one dimension, found {shape}")))?
            .to_vec()
    } else {
        let table = Table::read(path)?;
        let column = table.column("value")?;
        let values: Vec<f32> = column.parse()?;
        match table.optional_column("roi") {
            None => values,
            Some(rois) => {
                let mut of: HashMap<&str, f32> = HashMap::new();
                for (row, (roi, value)) in rois.strings()?.into_iter().zip(values).enumerate() {
                    let known = person.voxels.iter().any(|voxel| voxel.roi == roi);
                    if !known || of.insert(roi, value).is_some() {
                        let expected = format!("a region of {} that occurs once", person.id);
                        return Err(rois.invalid(row, expected).into());
                    }
                }
                let voxels = person.voxels.iter();
                voxels
                    .map(|voxel| of.get(voxel.roi.as_str()).copied().unwrap_or(0.0))
                    .collect()
            }
        }
    };
    if values.len() != person.voxels.len() {
        let message = format!(
            "expected a value for each of the {} voxels of {}, found {}",
            person.voxels.len(),
            person.id,
            values.len()
        );
        return Err(Error::invalid(path, message));
    }
    Ok(values)
}

/// Writes `values`, one a voxel, where the voxels are: a NIfTI volume, or a .dscalar.nii of a subject
/// that came from CIFTI. 0 where there is no voxel; where regions share a voxel, the first counts.
///
/// # Errors
/// A subject whose voxels have no known place in the space that is asked for; a file that cannot be
/// written.
pub fn write(subject: &Subject, name: &str, values: &[f32], out: &Path) -> Result<()> {
    let file = out.file_name().and_then(|name| name.to_str());
    let file = file.unwrap_or_default();
    if file.ends_with(".dscalar.nii") {
        return write_grayordinates(subject, name, values, out);
    }
    if file.ends_with(".nii") || file.ends_with(".nii.gz") {
        return write_volume(subject, values, out);
    }
    Err(Error::invalid(
        out,
        "expected a name that ends in .nii, .nii.gz or .dscalar.nii",
    ))
}

fn write_volume(subject: &Subject, values: &[f32], out: &Path) -> Result<()> {
    let Some(grid) = subject.grid()? else {
        let hint = match subject.grayordinates()? {
            Some(_) => ", but its voxels came from CIFTI: write a .dscalar.nii",
            None => ": import it again from images, or put the mask its voxels come from there",
        };
        let message = format!(
            "expected the place of the voxels of {}, found none{hint}",
            subject.id
        );
        return Err(subject.invalid("mask.nii.gz", &message));
    };
    let mut volume = vec![None; grid.voxels()];
    for (voxel, value) in subject.voxels.iter().zip(values) {
        if let Some(index) = voxel.coordinate.and_then(|at| grid.index(at)) {
            volume[index].get_or_insert(*value);
        }
    }
    let volume: Vec<f32> = volume.into_iter().map(Option::unwrap_or_default).collect();
    let new = NewNifti {
        dtype: Dtype::F32,
        shape: grid.shape.to_vec(),
        affine: grid.affine,
        tr: None,
    };
    let mut writer = NiftiWriter::create(out, &new)?;
    writer.write_volume(&volume)?;
    Ok(writer.finish()?)
}

fn write_grayordinates(subject: &Subject, name: &str, values: &[f32], out: &Path) -> Result<()> {
    let Some(places) = subject.grayordinates()? else {
        return Err(Error::invalid(
            out,
            format!(
                "expected a subject imported from CIFTI for a .dscalar.nii, found {} without \
                 grayordinates: write a .nii.gz",
                subject.id
            ),
        ));
    };
    let of = |column: &Option<usize>| column.and_then(|column| values.get(column).copied());
    let map: Vec<f32> = places
        .columns
        .iter()
        .map(|c| of(c).unwrap_or(0.0))
        .collect();
    Ok(write_scalars(out, &places.brain, &[(name, &map)])?)
}
