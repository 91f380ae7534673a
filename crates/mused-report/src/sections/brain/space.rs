//! Which value is drawn where.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use mused_data::{Dataset, Grid, Subject};
use mused_formats::cifti::Location;

use crate::figures::{Brain, Cortex, Side, Views};
use crate::input::Part;

/// Subjects, and what their values are drawn on.
pub(super) struct Space<'a> {
    pub(super) people: Vec<Person<'a>>,
    /// What the mean over them is drawn on, where they have a space in common.
    pub(super) whole: Option<Rc<dyn Views>>,
}

/// A subject in its place.
pub(super) struct Person<'a> {
    pub(super) subject: &'a Subject,
    pub(super) views: Rc<dyn Views>,
    /// The voxel of each place of `views`.
    pub(super) voxels: Vec<Option<usize>>,
}

impl Person<'_> {
    /// A value of each place.
    pub(super) fn at(&self, values: &[f32]) -> Vec<f32> {
        let value = |voxel: &Option<usize>| voxel.and_then(|voxel| values.get(voxel)).copied();
        let each = self.voxels.iter();
        each.map(|voxel| value(voxel).unwrap_or(f32::NAN)).collect()
    }

    /// Voxels that are drawn.
    pub(super) fn drawn(&self) -> BTreeSet<usize> {
        self.voxels.iter().flatten().copied().collect()
    }
}

impl<'a> Space<'a> {
    /// The brain seen through, of subjects whose voxels have positions.
    pub(super) fn glass(dataset: &Dataset, subjects: &[&'a Subject]) -> Self {
        // A mask that does not fit is told where maps are written; the shape is there without it.
        let grid = |subject: &Subject| subject.grid().ok().flatten();
        let grids: Vec<Option<Grid>> = subjects.iter().map(|subject| grid(subject)).collect();
        let first = grids.first().cloned().flatten();
        let shared = subjects.len() > 1
            && grids.iter().all(|grid| *grid == first)
            && (first.is_some() || dataset.shares_space());
        let together = shared
            .then(|| Brain::new(places(subjects), first))
            .flatten();
        if let Some(brain) = together {
            let voxels = |subject| voxels_at(subject, brain.places());
            let voxels: Vec<_> = subjects.iter().map(|subject| voxels(*subject)).collect();
            return Self::shared(Rc::new(brain), subjects, voxels);
        }
        let people = subjects.iter().zip(grids).filter_map(|(subject, grid)| {
            let brain = Brain::new(places(&[subject]), grid)?;
            let voxels = voxels_at(subject, brain.places());
            Some(Person {
                subject,
                views: Rc::new(brain),
                voxels,
            })
        });
        Self {
            people: people.collect(),
            whole: None,
        }
    }

    /// Surfaces, of subjects with responses of their vertices, or with voxels of one grid in their millimetres.
    ///
    /// # Errors
    /// Why nothing can be drawn there, in words.
    pub(super) fn surfaces(cortex: &Rc<Cortex>, subjects: &[&'a Subject]) -> Part<Self> {
        let mut grids = Vec::new();
        let mut voxels = Vec::new();
        for subject in subjects {
            let of_vertices = subject.grayordinates().map_err(|error| error.to_string())?;
            let own = match of_vertices {
                Some(found) => vertices(cortex, subject, &found)?,
                None => {
                    let grid = subject.grid().map_err(|error| error.to_string())?;
                    let grid = grid.ok_or_else(|| {
                        format!("the voxels of {} have no place in millimetres", subject.id)
                    })?;
                    let own = nearest(cortex, subject, &grid);
                    grids.push(grid);
                    own
                }
            };
            let drawn: BTreeSet<usize> = own.iter().flatten().copied().collect();
            let few = |part: usize, of: usize| part * 20 < of;
            let vertices = own.iter().flatten().count();
            // Whole brains have voxels far from surfaces, regions have surfaces far from voxels.
            if few(vertices, own.len()) && few(drawn.len(), subject.voxels.len()) || vertices == 0 {
                return Err(format!(
                    "{} of {} vertices lie near a voxel of {}: expected surfaces of the space that its responses are in",
                    vertices,
                    own.len(),
                    subject.id
                ));
            }
            voxels.push(own);
        }
        if grids.iter().any(|grid| *grid != grids[0]) {
            let why = "subjects have voxels on grids of their own, and surfaces are of one brain";
            return Err(why.to_owned());
        }
        let views: Rc<dyn Views> = cortex.clone();
        Ok(Self::shared(views, subjects, voxels))
    }

    fn shared(
        views: Rc<dyn Views>,
        subjects: &[&'a Subject],
        voxels: Vec<Vec<Option<usize>>>,
    ) -> Self {
        let people = subjects.iter().zip(voxels).map(|(subject, voxels)| Person {
            subject,
            views: views.clone(),
            voxels,
        });
        Self {
            people: people.collect(),
            whole: (subjects.len() > 1).then_some(views),
        }
    }
}

/// Positions of voxels, each once.
fn places(subjects: &[&Subject]) -> Vec<[i32; 3]> {
    let voxels = subjects.iter().flat_map(|subject| subject.voxels.iter());
    let places: BTreeSet<[i32; 3]> = voxels.filter_map(|voxel| voxel.coordinate).collect();
    places.into_iter().collect()
}

/// The voxel of each place, the first where regions share one.
fn voxels_at(subject: &Subject, places: &[[i32; 3]]) -> Vec<Option<usize>> {
    let mut at: HashMap<[i32; 3], usize> = HashMap::new();
    for (index, voxel) in subject.voxels.iter().enumerate() {
        if let Some(place) = voxel.coordinate {
            at.entry(place).or_insert(index);
        }
    }
    places.iter().map(|place| at.get(place).copied()).collect()
}

/// The column of each vertex.
fn vertices(
    cortex: &Cortex,
    subject: &Subject,
    found: &mused_data::Grayordinates,
) -> Part<Vec<Option<usize>>> {
    let mut columns = vec![None; cortex.vertices().count()];
    for model in &found.brain.models {
        let side = match model.structure.as_str() {
            "CIFTI_STRUCTURE_CORTEX_LEFT" => Side::Left,
            "CIFTI_STRUCTURE_CORTEX_RIGHT" => Side::Right,
            _ => continue,
        };
        let Location::Surface { vertices, indices } = &model.locations else {
            continue;
        };
        let Some((first, count)) = cortex.half(side) else {
            continue;
        };
        if *vertices != count {
            return Err(format!(
                "expected a surface {}=FILE of {vertices} vertices, as the responses of {} have, found {count}",
                side.name(),
                subject.id
            ));
        }
        for (place, vertex) in (model.start..).zip(indices) {
            let column = found.columns.get(place).copied().flatten();
            if let Some(slot) = columns.get_mut(first + vertex) {
                *slot = column;
            }
        }
    }
    Ok(columns)
}

/// The voxel nearest to each vertex, where one is no further away than a voxel is long.
fn nearest(cortex: &Cortex, subject: &Subject, grid: &Grid) -> Vec<Option<usize>> {
    let millimetres = |place: [i32; 3]| -> [f64; 3] {
        std::array::from_fn(|row| {
            let row = grid.affine[row];
            let turned = row
                .iter()
                .zip(place)
                .map(|(mm, index)| mm * f64::from(index));
            turned.sum::<f64>() + row[3]
        })
    };
    let length = |axis: usize| {
        (0..3)
            .map(|row| grid.affine[row][axis].powi(2))
            .sum::<f64>()
    };
    let reach = (0..3).map(length).fold(0.0, f64::max).sqrt();
    let cell = |at: [f64; 3]| at.map(|mm| (mm / reach).floor() as i64);
    let mut cells: HashMap<[i64; 3], Vec<(usize, [f64; 3])>> = HashMap::new();
    for (index, voxel) in subject.voxels.iter().enumerate() {
        if let Some(place) = voxel.coordinate {
            let at = millimetres(place);
            cells.entry(cell(at)).or_default().push((index, at));
        }
    }
    let distance =
        |a: [f64; 3], b: [f64; 3]| (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>();
    let of_vertex = |vertex: [f64; 3]| {
        let [i, j, k] = cell(vertex);
        let around =
            (-1..=1).flat_map(|x| (-1..=1).flat_map(move |y| (-1..=1).map(move |z| [x, y, z])));
        let voxels = around.filter_map(|[x, y, z]| {
            cells.get(&[
                i.saturating_add(x),
                j.saturating_add(y),
                k.saturating_add(z),
            ])
        });
        voxels
            .flatten()
            .map(|(index, at)| (*index, distance(*at, vertex)))
            .filter(|(_, distance)| *distance <= reach * reach)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(index, _)| index)
    };
    cortex.vertices().map(of_vertex).collect()
}
