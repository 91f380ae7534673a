//! A value a voxel, back in the subject's space: `mused map`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mused_formats::cifti::{BrainModels, write_scalars};
use mused_formats::nifti::{NewNifti, NiftiWriter};
use mused_formats::npy::{self, Dtype};
use mused_formats::table::Table;
use mused_stats::moments::{Moments, varies};
use ndarray::{ArrayView2, Ix1};

use crate::{Dataset, Error, Grid, Result, Subject, Trial};

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
        Quantity::Repeatability => {
            let read = |trial: usize, row: &mut [f32]| person.read_response(trial, row);
            split_half(&person.trials, person.voxels.len(), read)?.map_err(|repeated| {
                Error::Request(format!(
                    "subject {}: expected at least {FEWEST_REPEATED} stimuli shown more than once, found {repeated}",
                    person.id
                ))
            })?
        }
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

/// Stimuli shown more than once that a repeatability is measured on, at least.
const FEWEST_REPEATED: usize = 3;

/// [`Quantity::Repeatability`] of so many voxels, whose responses to a trial `read` brings; or how many stimuli were shown
/// more than once, where these are too few.
pub(crate) fn split_half(
    trials: &[Trial],
    voxels: usize,
    mut read: impl FnMut(usize, &mut [f32]) -> Result<()>,
) -> Result<std::result::Result<Vec<f64>, usize>> {
    let mut shown: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, trial) in trials.iter().enumerate() {
        shown.entry(trial.stimulus).or_default().push(row);
    }
    shown.retain(|_, rows| rows.len() > 1);
    if shown.len() < FEWEST_REPEATED {
        return Ok(Err(shown.len()));
    }
    let mut sums = vec![Correlation::default(); voxels];
    let mut row = vec![0.0; voxels];
    for rows in shown.values_mut() {
        rows.sort_by_key(|&row| trials[row].repeat);
        let mut halves = [vec![0.0; voxels], vec![0.0; voxels]];
        for (place, &trial) in rows.iter().enumerate() {
            read(trial, &mut row)?;
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
    Ok(Ok(sums.into_iter().map(Correlation::r).collect()))
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
    let shape = (1, values.len());
    let values = ArrayView2::from_shape(shape, values);
    let values = values.map_err(|error| Error::Request(error.to_string()))?;
    write_means(&[(subject, values)], &[name], out)
}

/// Writes several maps into one file, as [`write()`] does one: a volume or scalar a map. `of` has the maps \[maps, voxels\] of a
/// subject, or of several, of whom the mean is written, at each place over those with a voxel there.
///
/// # Errors
/// As [`write()`]; subjects that do not lie in one space.
pub fn write_means(
    of: &[(&Subject, ArrayView2<'_, f32>)],
    names: &[&str],
    out: &Path,
) -> Result<()> {
    let file = out.file_name().and_then(|name| name.to_str());
    let file = file.unwrap_or_default();
    let grayordinates = file.ends_with(".dscalar.nii");
    if !grayordinates && !file.ends_with(".nii") && !file.ends_with(".nii.gz") {
        return Err(Error::invalid(
            out,
            "expected a name that ends in .nii, .nii.gz or .dscalar.nii",
        ));
    }
    let canvas = |(subject, _): &(&Subject, _)| match grayordinates {
        true => Canvas::grayordinates(subject, out),
        false => Canvas::volume(subject),
    };
    let canvases: Vec<Canvas> = of.iter().map(canvas).collect::<Result<_>>()?;
    let Some(first) = canvases.first() else {
        return Err(Error::invalid(
            out,
            "expected maps of a subject, found none",
        ));
    };
    if let Some(other) = canvases.iter().position(|other| other.space != first.space) {
        let message = format!(
            "expected subjects of one space, found {} and {} of two: their voxels have no mean",
            of[0].0.id, of[other].0.id
        );
        return Err(Error::invalid(out, message));
    }
    let drawn = |map: usize| -> Vec<f32> {
        let mut sums = vec![(0.0_f64, 0_u32); first.columns.len()];
        for (canvas, (_, values)) in canvases.iter().zip(of) {
            for ((sum, count), column) in sums.iter_mut().zip(&canvas.columns) {
                if let Some(value) = column.and_then(|column| values.get((map, column))) {
                    *sum += f64::from(*value);
                    *count += 1;
                }
            }
        }
        let mean = |(sum, count)| (sum / f64::from(u32::max(count, 1))) as f32;
        sums.into_iter().map(mean).collect()
    };
    match &first.space {
        Space::Volume(grid) => {
            let shape = grid.shape.into_iter();
            let new = NewNifti {
                dtype: Dtype::F32,
                shape: shape
                    .chain((names.len() > 1).then_some(names.len()))
                    .collect(),
                affine: grid.affine,
                tr: None,
            };
            let mut writer = NiftiWriter::create(out, &new)?;
            for map in 0..names.len() {
                writer.write_volume(&drawn(map))?;
            }
            Ok(writer.finish()?)
        }
        Space::Grayordinates(brain) => {
            let maps: Vec<Vec<f32>> = (0..names.len()).map(drawn).collect();
            let named = names.iter().copied().zip(maps.iter().map(Vec::as_slice));
            Ok(write_scalars(out, brain, &named.collect::<Vec<_>>())?)
        }
    }
}

/// The kind of image that a subject's voxels can be drawn in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// How its name ends.
    pub ending: &'static str,
    /// Voxels of the grid, or vertices and voxels of CIFTI.
    pub places: usize,
}

/// The image of a subject's voxels; `None` where their place is not known.
///
/// # Errors
/// A file of places that cannot be read.
pub fn image(subject: &Subject) -> Result<Option<Image>> {
    if let Some(found) = subject.grayordinates()? {
        return Ok(Some(Image {
            ending: "dscalar.nii",
            places: found.columns.len(),
        }));
    }
    Ok(subject.grid()?.map(|grid| Image {
        ending: "nii.gz",
        places: grid.voxels(),
    }))
}

/// Whether voxels of all of these can be drawn in one image, the same place being the same voxel or vertex.
///
/// # Errors
/// A file of places that cannot be read.
pub fn one_space(subjects: &[&Subject]) -> Result<bool> {
    let spaces = subjects.iter().map(|subject| {
        Ok(match subject.grayordinates()? {
            Some(places) => Some(Space::Grayordinates(places.brain)),
            None => subject.grid()?.map(Space::Volume),
        })
    });
    let spaces: Vec<Option<Space>> = spaces.collect::<Result<_>>()?;
    Ok(spaces
        .iter()
        .all(|space| space.is_some() && *space == spaces[0]))
}

/// What an image is of.
#[derive(PartialEq)]
enum Space {
    Volume(Grid),
    Grayordinates(BrainModels),
}

/// An image of a subject's voxels: its places, and the response column of each.
struct Canvas {
    space: Space,
    columns: Vec<Option<usize>>,
}

impl Canvas {
    fn volume(subject: &Subject) -> Result<Self> {
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
        let mut columns = vec![None; grid.voxels()];
        for (column, voxel) in subject.voxels.iter().enumerate() {
            let index = voxel.coordinate.and_then(|at| grid.index(at));
            if let Some(place) = index.and_then(|index| columns.get_mut(index)) {
                place.get_or_insert(column);
            }
        }
        let space = Space::Volume(grid);
        Ok(Self { space, columns })
    }

    fn grayordinates(subject: &Subject, out: &Path) -> Result<Self> {
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
        Ok(Self {
            space: Space::Grayordinates(places.brain),
            columns: places.columns,
        })
    }
}
