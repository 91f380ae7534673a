use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use mused_data::{Dataset, Layout, Voxel};

/// Most parts of a volume that is read in patches: as many have room in a picture, and every one costs a pass.
const MOST_PATCHES: usize = 400;

/// Most parts of a volume that is read by convolutions, whose passes are slow.
const MOST_CUBES: usize = 200;

/// What the inputs of a run are divided into, the same for all its models.
#[derive(Debug)]
pub(super) enum Parts {
    /// Regions by name.
    Regions(Vec<String>),
    /// Cubes of voxels, `edge` a side, counted from `origin`; those that hold somebody's voxels, in order.
    Cubes {
        origin: [i32; 3],
        edge: i32,
        cubes: Vec<[i32; 3]>,
    },
}

impl Parts {
    /// The parts of what models with these layouts read.
    pub(super) fn new(dataset: &Dataset, layouts: &[Layout]) -> Self {
        let (origin, smallest, most) = match layouts.first() {
            Some(Layout::Patches { cuboid, edge, .. }) => (cuboid.origin, *edge, MOST_PATCHES),
            Some(Layout::Grid { cuboid }) => (cuboid.origin, 1, MOST_CUBES),
            Some(Layout::Regions { .. }) | None => {
                let mut names: Vec<String> = Vec::new();
                // A region that one fold or subject lacks, another may have.
                for slot in layouts.iter().flat_map(Layout::slots) {
                    if !names.contains(&slot.name) {
                        names.push(slot.name.clone());
                    }
                }
                return Self::Regions(names);
            }
        };
        let voxels = dataset.subjects.iter().flat_map(|s| s.voxels.iter());
        let read: BTreeSet<[i32; 3]> = voxels
            .filter_map(|voxel| voxel.coordinate)
            .filter(|&at| layouts.iter().any(|layout| reads(layout, at)))
            .collect();
        let smallest = i32::try_from(smallest).unwrap_or(i32::MAX).max(1);
        let mut edge = smallest;
        loop {
            let cubes: BTreeSet<[i32; 3]> =
                read.iter().map(|&at| cube_of(at, origin, edge)).collect();
            match edge.checked_add(smallest) {
                Some(larger) if cubes.len() > most => edge = larger,
                _ => {
                    return Self::Cubes {
                        origin,
                        edge,
                        cubes: cubes.into_iter().collect(),
                    };
                }
            }
        }
    }

    /// `region` or `cube`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Regions(_) => "region",
            Self::Cubes { .. } => "cube",
        }
    }

    /// Names of regions, or the first voxel of each cube in the grid of the dataset, `x-y-z`.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Regions(names) => names.clone(),
            Self::Cubes {
                origin,
                edge,
                cubes,
            } => {
                let first = |cube: &[i32; 3], axis: usize| origin[axis] + cube[axis] * edge;
                let name =
                    |cube| format!("{}-{}-{}", first(cube, 0), first(cube, 1), first(cube, 2));
                cubes.iter().map(name).collect()
            }
        }
    }

    /// Voxels a side of a cube.
    pub(super) fn edge(&self) -> Option<i32> {
        match self {
            Self::Regions(_) => None,
            Self::Cubes { edge, .. } => Some(*edge),
        }
    }

    /// The part of a voxel; `None` where it is not read.
    pub(super) fn of_voxel(&self, voxel: &Voxel) -> Option<usize> {
        match self {
            Self::Regions(names) => names.iter().position(|name| *name == voxel.roi),
            Self::Cubes { .. } => self.of_place(voxel.coordinate?),
        }
    }

    fn of_place(&self, at: [i32; 3]) -> Option<usize> {
        let Self::Cubes {
            origin,
            edge,
            cubes,
        } = self
        else {
            return None;
        };
        cubes.binary_search(&cube_of(at, *origin, *edge)).ok()
    }

    /// The part of each slot of an input row, the one of its first voxel; none for a grid, which has no slots.
    pub(super) fn of_slots(&self, layout: &Layout) -> Vec<Option<usize>> {
        match (self, layout) {
            (Self::Regions(names), _) => {
                let numbers: HashMap<&str, usize> =
                    names.iter().map(String::as_str).zip(0..).collect();
                let number = |name: &String| numbers.get(name.as_str()).copied();
                let slots = layout.slots().iter();
                slots.map(|slot| number(&slot.name)).collect()
            }
            (Self::Cubes { .. }, Layout::Patches { cuboid, edge, .. }) => {
                let slots = layout.slots().iter();
                let first = slots.map(|slot| first_voxel(&slot.name, cuboid.origin, *edge));
                first.map(|at| self.of_place(at?)).collect()
            }
            (Self::Cubes { .. }, _) => Vec::new(),
        }
    }

    /// The columns of each part in an input row.
    pub(super) fn columns(&self, layout: &Layout) -> Vec<Vec<Range<usize>>> {
        let mut columns = Columns(vec![Vec::new(); self.names().len()]);
        match (self, layout) {
            (Self::Regions(_), _) => {
                for (slot, part) in layout.slots().iter().zip(self.of_slots(layout)) {
                    columns.add(part, slot.offset..slot.offset + slot.length);
                }
            }
            (Self::Cubes { .. }, Layout::Grid { cuboid }) => {
                for (column, place) in places(cuboid.shape).enumerate() {
                    let part = self.of_place(plus(cuboid.origin, place));
                    columns.add(part, column..column + 1);
                }
            }
            (
                Self::Cubes { .. },
                Layout::Patches {
                    cuboid,
                    edge,
                    slots,
                },
            ) => {
                for slot in slots {
                    let Some(first) = first_voxel(&slot.name, cuboid.origin, *edge) else {
                        continue;
                    };
                    for (column, place) in places([*edge; 3]).enumerate() {
                        let column = slot.offset + column;
                        columns.add(self.of_place(plus(first, place)), column..column + 1);
                    }
                }
            }
            (Self::Cubes { .. }, Layout::Regions { .. }) => {}
        }
        columns.0
    }
}

/// Columns of parts, as runs without gaps.
struct Columns(Vec<Vec<Range<usize>>>);

impl Columns {
    fn add(&mut self, part: Option<usize>, columns: Range<usize>) {
        let Some(own) = part.and_then(|part| self.0.get_mut(part)) else {
            return;
        };
        match own.last_mut() {
            Some(last) if last.end == columns.start => last.end = columns.end,
            _ => own.push(columns),
        }
    }
}

fn cube_of(at: [i32; 3], origin: [i32; 3], edge: i32) -> [i32; 3] {
    std::array::from_fn(|axis| at[axis].saturating_sub(origin[axis]).div_euclid(edge))
}

/// Places of a box, the last axis fastest.
fn places([d, h, w]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..d * h * w).map(move |place| [place / (h * w), place / w % h, place % w])
}

fn plus(origin: [i32; 3], place: [usize; 3]) -> [i32; 3] {
    std::array::from_fn(|axis| origin[axis].saturating_add(place[axis] as i32))
}

/// Where the patch `i,j,k` begins.
fn first_voxel(patch: &str, origin: [i32; 3], edge: usize) -> Option<[i32; 3]> {
    let mut place = [0; 3];
    let mut numbers = patch.split(',');
    for number in &mut place {
        *number = numbers.next()?.parse::<usize>().ok()?.checked_mul(edge)?;
    }
    Some(plus(origin, place))
}

fn reads(layout: &Layout, at: [i32; 3]) -> bool {
    let (Layout::Patches { cuboid, .. } | Layout::Grid { cuboid }) = layout else {
        return false;
    };
    (0..3).all(|axis| {
        let offset = i64::from(at[axis]) - i64::from(cuboid.origin[axis]);
        usize::try_from(offset).is_ok_and(|offset| offset < cuboid.shape[axis])
    })
}
