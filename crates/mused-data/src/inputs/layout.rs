use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Response, Result, Subject};

/// No place in the input row: a held-out reference, or a voxel outside the box.
pub(super) const NOWHERE: u32 = u32::MAX;

/// How voxels are to be arranged in an input row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// Region by region, each as long as in the subject with most voxels there.
    Regions,
    /// Region by region, each as its first principal components, fitted a subject on its training
    /// samples: as many as asked, or as the subject has voxels or samples less one.
    Components {
        /// Most components a region.
        most: usize,
    },
    /// Cubes of `edge` voxels a side, without those that hold nobody's voxels.
    Patches {
        /// Voxels a side.
        edge: usize,
        /// Part of the volume; `None` = the smallest box around everybody's voxels.
        range: Option<[[i32; 2]; 3]>,
    },
    /// The whole box, voxel by voxel.
    Grid {
        /// Part of the volume; `None` = the smallest box around everybody's voxels.
        range: Option<[[i32; 2]; 3]>,
    },
}

/// A contiguous part of an input row: a region or a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Name of the region, or `i,j,k` of the patch.
    pub name: String,
    /// First value.
    pub offset: usize,
    /// Number of values; subjects with fewer voxels have zeros.
    pub length: usize,
}

/// A box of voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuboid {
    /// Its first voxel in the grid of the dataset.
    pub origin: [i32; 3],
    /// Voxels along each axis.
    pub shape: [usize; 3],
}

/// 512 voxels on each axis: a brain at half a millimetre.
const MOST_VOXELS: i128 = 1 << 27;

impl Cuboid {
    /// The box of `range`, or the smallest one around the voxels of `subjects`.
    fn around(dataset: &Dataset, subjects: &[usize], range: Option<[[i32; 2]; 3]>) -> Result<Self> {
        if let Some(range) = range {
            let shape = range.map(|[from, to]| i64::from(to) - i64::from(from));
            if shape.iter().any(|&length| length < 1) {
                return Err(Error::Request(format!(
                    "expected [from, to] with from below to on every axis of the grid, found {range:?}"
                )));
            }
            return Self::of(range.map(|[from, _]| from), shape);
        }
        let mut bounds: Option<([i32; 3], [i32; 3])> = None;
        for &subject in subjects {
            let subject = &dataset.subjects[subject];
            for voxel in subject.voxels.iter() {
                let at = coordinate(subject, voxel.coordinate)?;
                let (least, most) = bounds.get_or_insert((at, at));
                for axis in 0..3 {
                    least[axis] = least[axis].min(at[axis]);
                    most[axis] = most[axis].max(at[axis]);
                }
            }
        }
        let (least, most) = bounds.unwrap_or(([0; 3], [0; 3]));
        let length = |axis: usize| i64::from(most[axis]) - i64::from(least[axis]) + 1;
        Self::of(least, std::array::from_fn(length))
    }

    /// Lengths are 1 at least.
    fn of(origin: [i32; 3], shape: [i64; 3]) -> Result<Self> {
        let voxels: i128 = shape.into_iter().map(i128::from).product();
        if voxels > MOST_VOXELS {
            return Err(Error::Request(format!(
                "expected a part of the volume of at most {MOST_VOXELS} voxels, found one of {shape:?}: look at \
                 model.grid, and at the columns i, j, k of voxels.tsv"
            )));
        }
        Ok(Self {
            origin,
            shape: shape.map(|length| length as usize),
        })
    }

    /// Place within the box.
    fn within(&self, at: [i32; 3]) -> Option<[usize; 3]> {
        let mut place = [0; 3];
        for axis in 0..3 {
            let offset = i64::from(at[axis]) - i64::from(self.origin[axis]);
            place[axis] = usize::try_from(offset).ok()?;
            if place[axis] >= self.shape[axis] {
                return None;
            }
        }
        Some(place)
    }
}

/// Number of a place in row-major order.
fn linear([i, j, k]: [usize; 3], [_, d1, d2]: [usize; 3]) -> usize {
    (i * d1 + j) * d2 + k
}

fn coordinate(subject: &Subject, coordinate: Option<[i32; 3]>) -> Result<[i32; 3]> {
    coordinate.ok_or_else(|| {
        Error::Request(format!(
            "subject {}: a volume needs the columns i, j and k in voxels.tsv, found voxels without a \
             position",
            subject.id
        ))
    })
}

/// How an input row is divided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "by")]
pub enum Layout {
    /// Region by region.
    Regions {
        /// In row order, contiguous.
        slots: Vec<Slot>,
    },
    /// Cubic patches of a box.
    Patches {
        /// The box; its last patches may reach beyond it.
        cuboid: Cuboid,
        /// Voxels a side.
        edge: usize,
        /// In row order, contiguous, all of `edge`³ values.
        slots: Vec<Slot>,
    },
    /// A box, voxel by voxel, the last axis fastest.
    Grid {
        /// The box.
        cuboid: Cuboid,
    },
}

impl Layout {
    /// The layout for `subjects` and `stimuli` training stimuli: as many values has a similarity
    /// profile, and a region has fewer principal components. How many those really are depends on
    /// the responses; the layout has room for the most there can be.
    ///
    /// # Errors
    /// Voxels without a position in a volume, or none of them in the chosen part of it.
    pub fn new(
        dataset: &Dataset,
        arrangement: Arrangement,
        subjects: &[usize],
        stimuli: usize,
    ) -> Result<Self> {
        let profiles = dataset.description.response == Response::SimilarityProfiles;
        if profiles && arrangement != Arrangement::Regions {
            let message = "similarity profiles are as long for every subject and have no place in a \
                           volume; train them by regions, without principal components";
            return Err(Error::Request(message.to_owned()));
        }
        let layout = match arrangement {
            Arrangement::Regions => Self::Regions {
                slots: regions(
                    dataset,
                    subjects,
                    |voxels| {
                        if profiles { stimuli } else { voxels }
                    },
                ),
            },
            Arrangement::Components { most } => Self::Regions {
                slots: regions(dataset, subjects, |voxels| {
                    most.min(voxels).min(stimuli.saturating_sub(1))
                }),
            },
            Arrangement::Patches { edge, range } => {
                let cuboid = Cuboid::around(dataset, subjects, range)?;
                Self::Patches {
                    cuboid,
                    edge,
                    slots: patches(dataset, subjects, cuboid, edge)?,
                }
            }
            Arrangement::Grid { range } => Self::Grid {
                cuboid: Cuboid::around(dataset, subjects, range)?,
            },
        };
        if layout.width() == 0 {
            return Err(Error::Request(
                "no voxel of any subject lies in the chosen part of the volume".to_owned(),
            ));
        }
        // Positions are stored in 32 bits; no scanner makes volumes of 4 milliard voxels.
        if layout.width() >= NOWHERE as usize {
            return Err(Error::Request(format!(
                "an input row of {} values is larger than any brain",
                layout.width()
            )));
        }
        Ok(layout)
    }

    /// Makes every region so many values long.
    pub fn lengthen(&mut self, length: usize) {
        if let Self::Regions { slots } = self {
            *slots = contiguous(slots.iter().map(|slot| (slot.name.clone(), length)));
        }
    }

    /// Its regions or patches; none for a grid.
    pub fn slots(&self) -> &[Slot] {
        match self {
            Self::Regions { slots } | Self::Patches { slots, .. } => slots,
            Self::Grid { .. } => &[],
        }
    }

    /// Length of an input row.
    pub fn width(&self) -> usize {
        match self {
            Self::Grid { cuboid } => cuboid.shape.iter().product(),
            Self::Regions { slots } | Self::Patches { slots, .. } => {
                slots.last().map_or(0, |slot| slot.offset + slot.length)
            }
        }
    }
}

/// A slot a region, its length a function of the most voxels that a subject has there.
fn regions(dataset: &Dataset, subjects: &[usize], length: impl Fn(usize) -> usize) -> Vec<Slot> {
    let mut largest: HashMap<&str, usize> = HashMap::new();
    for &subject in subjects {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for voxel in dataset.subjects[subject].voxels.iter() {
            *counts.entry(&voxel.roi).or_default() += 1;
        }
        for (name, count) in counts {
            let most = largest.entry(name).or_default();
            *most = count.max(*most);
        }
    }
    let present = dataset.roi_names().into_iter();
    let lengths = present.filter_map(|name| Some((name.to_owned(), *largest.get(name)?)));
    contiguous(lengths.map(|(name, voxels)| (name, length(voxels))))
}

pub(super) fn contiguous(lengths: impl Iterator<Item = (String, usize)>) -> Vec<Slot> {
    let mut offset = 0;
    let slot = |(name, length)| {
        let slot = Slot {
            name,
            offset,
            length,
        };
        offset += length;
        slot
    };
    lengths.map(slot).collect()
}

fn patches(
    dataset: &Dataset,
    subjects: &[usize],
    cuboid: Cuboid,
    edge: usize,
) -> Result<Vec<Slot>> {
    let counts = cuboid.shape.map(|length| length.div_ceil(edge));
    let mut occupied = vec![false; counts.iter().product()];
    for &subject in subjects {
        let subject = &dataset.subjects[subject];
        for voxel in subject.voxels.iter() {
            if let Some(place) = cuboid.within(coordinate(subject, voxel.coordinate)?) {
                occupied[linear(place.map(|axis| axis / edge), counts)] = true;
            }
        }
    }
    let taken = occupied.iter().zip(0..).filter(|(taken, _)| **taken);
    Ok(contiguous(taken.map(|(_, patch): (_, usize)| {
        (patch_name(patch, counts), edge.pow(3))
    })))
}

fn patch_name(patch: usize, [_, d1, d2]: [usize; 3]) -> String {
    format!("{},{},{}", patch / (d1 * d2), patch / d2 % d1, patch % d2)
}

/// Where each voxel of a subject goes in an input row.
#[derive(Debug)]
pub(super) struct Placement {
    /// One a voxel, or [`NOWHERE`].
    pub(super) positions: Vec<u32>,
    /// Whether the subject has any voxel of a slot.
    pub(super) has_slot: Vec<bool>,
}

impl Placement {
    /// `references` are the reference stimuli a profile is made of, in order.
    pub(super) fn new(
        layout: &Layout,
        references: Option<&[String]>,
        dataset: &Dataset,
        subject: &Subject,
    ) -> Result<Self> {
        let slots = layout.slots();
        let places = match layout {
            Layout::Regions { slots } => in_regions(slots, references, dataset, subject)?,
            Layout::Grid { cuboid } => {
                in_volume(subject, cuboid, |place| Some(linear(place, cuboid.shape)))?
            }
            Layout::Patches {
                cuboid,
                edge,
                slots,
            } => {
                let counts = cuboid.shape.map(|length| length.div_ceil(*edge));
                let offsets: HashMap<&str, usize> = slots
                    .iter()
                    .map(|slot| (slot.name.as_str(), slot.offset))
                    .collect();
                let by_number: Vec<Option<usize>> = (0..counts.iter().product())
                    .map(|patch| offsets.get(patch_name(patch, counts).as_str()).copied())
                    .collect();
                in_volume(subject, cuboid, |place| {
                    let offset = by_number[linear(place.map(|axis| axis / edge), counts)]?;
                    Some(offset + linear(place.map(|axis| axis % edge), [*edge; 3]))
                })?
            }
        };
        let mut has_slot = vec![false; slots.len()];
        for position in places.iter().flatten() {
            let slot = slots.partition_point(|slot| slot.offset + slot.length <= *position);
            if let Some(has) = has_slot.get_mut(slot) {
                *has = true;
            }
        }
        Ok(Self {
            positions: places
                .into_iter()
                .map(|place| place.map_or(NOWHERE, |position| position as u32))
                .collect(),
            has_slot,
        })
    }
}

fn in_volume(
    subject: &Subject,
    cuboid: &Cuboid,
    position: impl Fn([usize; 3]) -> Option<usize>,
) -> Result<Vec<Option<usize>>> {
    let voxels = subject.voxels.iter();
    voxels
        .map(|voxel| {
            let at = coordinate(subject, voxel.coordinate)?;
            Ok(cuboid.within(at).and_then(&position))
        })
        .collect()
}

fn in_regions(
    slots: &[Slot],
    references: Option<&[String]>,
    dataset: &Dataset,
    subject: &Subject,
) -> Result<Vec<Option<usize>>> {
    let index: HashMap<&str, usize> = slots.iter().map(|s| s.name.as_str()).zip(0..).collect();
    let references: Option<HashMap<&str, usize>> =
        references.map(|ids| ids.iter().map(String::as_str).zip(0..).collect());
    let mut filled = vec![0; slots.len()];
    let place = |voxel: &crate::Voxel| {
        let slot = *index.get(voxel.roi.as_str()).ok_or_else(|| {
            Error::Request(format!(
                "subject {}: region {:?} is not among those the model was trained with",
                subject.id, voxel.roi
            ))
        })?;
        let within = match (&references, voxel.reference) {
            (None, _) => Some(filled[slot]),
            (Some(references), Some(reference)) => references
                .get(dataset.stimuli[reference].id.as_str())
                .copied(),
            (Some(_), None) => {
                return Err(Error::Request(
                    "the model was trained on similarity profiles, the dataset has none".to_owned(),
                ));
            }
        };
        let Slot {
            name,
            offset,
            length,
        } = &slots[slot];
        filled[slot] += usize::from(within.is_some());
        match within {
            Some(within) if within >= *length => Err(Error::Request(format!(
                "subject {}: region {name} has more than the {length} voxels of the trained model",
                subject.id
            ))),
            within => Ok(within.map(|within| offset + within)),
        }
    };
    subject.voxels.iter().map(place).collect()
}
