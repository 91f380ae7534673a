//! Which voxels or grayordinates of a subject are imported, and to which region each belongs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use mused_formats::cifti::{Axis, BrainModels, Cifti, Location};
use mused_formats::nifti::Nifti;

use super::HcpConfig;
use super::recordings::{Recording, Space};
use crate::import::atlas;
use crate::import::checks::{Findings, VoxelFlaws};
use crate::import::pattern::{self, Captured};
use crate::{Error, Grid, Result, Voxel};

/// Region of the voxels of a brain without atlas.
const BRAIN: &str = "brain";
const STRUCTURE: &str = "CIFTI_STRUCTURE_";

/// Voxels of a subject, in the order of the response columns.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Place in a volume, i fastest, or in the brain models.
    pub(super) places: Vec<usize>,
    pub(super) voxels: Vec<Voxel>,
}

impl Chosen {
    fn push(&mut self, place: usize, coordinate: Option<[i32; 3]>, roi: &str) {
        self.places.push(place);
        self.voxels.push(Voxel {
            roi: roi.to_owned(),
            coordinate,
            reference: None,
        });
    }
}

/// The files with mask, atlas and names of a subject.
#[derive(Debug)]
pub(super) struct Files {
    mask: Option<PathBuf>,
    atlas: Option<PathBuf>,
    names: Option<PathBuf>,
}

impl Files {
    /// Where `{subject}` in their paths is this one; paths start from `root` or from here.
    pub(super) fn of(root: &Path, config: &HcpConfig, subject: &str) -> Result<Self> {
        let place = Captured {
            subject: Some(subject.to_owned()),
            ..Captured::default()
        };
        let locate = |pattern: &Option<String>| {
            let Some(pattern) = pattern else {
                return Ok(None);
            };
            let filled = pattern::fill(pattern, &place)
                .map_err(|message| Error::Request(format!("{pattern:?}: {message}")))?;
            let mut paths = [root.join(&filled), PathBuf::from(&filled)].into_iter();
            let path = paths.find(|path| path.is_file());
            path.map(Some).ok_or_else(|| {
                let message = format!("expected {filled} (of subject {subject}), found none");
                Error::invalid(root, message)
            })
        };
        Ok(Self {
            mask: locate(&config.mask)?,
            atlas: locate(&config.atlas)?,
            names: locate(&config.atlas_names)?,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.mask, &self.atlas, &self.names].into_iter().flatten()
    }

    /// The voxels they choose; without mask and atlas those of a volume that have no `flaws`.
    pub(super) fn select(
        &self,
        runs: &[Recording],
        flaws: &VoxelFlaws,
        findings: &mut Findings,
    ) -> Result<Chosen> {
        let Some(first) = runs.first() else {
            return Ok(Chosen::default());
        };
        match &first.space {
            Space::Volume(grid) => self.in_volume(first, grid, flaws, findings),
            Space::Grayordinates(brain) => {
                if let Some(path) = &self.mask {
                    let message = format!(
                        "a mask chooses voxels of a volume, and {} holds grayordinates: give an \
                         atlas (.dlabel.nii)",
                        first.path.display()
                    );
                    return Err(Error::invalid(path, message));
                }
                self.in_grayordinates(brain, findings)
            }
        }
    }

    fn in_volume(
        &self,
        first: &Recording,
        grid: &Grid,
        flaws: &VoxelFlaws,
        findings: &mut Findings,
    ) -> Result<Chosen> {
        let image = |path: &Path, findings: &mut Findings| {
            let mut file = Nifti::open(path)?;
            let own = Grid::of(file.header());
            grid.check(&first.path, &own, path, findings)?;
            if file.header().volumes() != 1 {
                let message = format!("expected one volume, found shape {:?}", file.header().shape);
                return Err(Error::invalid(path, message));
            }
            Ok(file.read_volume(0)?)
        };
        let mask = self.mask.as_deref();
        let mask = mask.map(|path| image(path, findings)).transpose()?;
        // Noise of resampling around 0 is outside.
        let inside = |voxel: usize| {
            mask.as_ref()
                .is_none_or(|mask| mask[voxel] > atlas::ROUNDING)
        };
        let mut chosen = Chosen::default();
        if let Some(path) = &self.atlas {
            let values = image(path, findings)?;
            let named = atlas::voxels(path, &values, self.names.as_deref(), findings)?;
            for (voxel, roi) in named {
                if inside(voxel) {
                    chosen.push(voxel, Some(grid.coordinate(voxel)), &roi);
                }
            }
        } else {
            let wanted = |voxel: &usize| match &mask {
                Some(_) => inside(*voxel),
                None => flaws.usable(*voxel),
            };
            for voxel in (0..grid.voxels()).filter(wanted) {
                chosen.push(voxel, Some(grid.coordinate(voxel)), BRAIN);
            }
        }
        if chosen.places.is_empty() {
            let path = self.all().next().unwrap_or(&first.path);
            let message = "expected voxels that vary in every run, in mask and atlas, found none";
            return Err(Error::invalid(path, message));
        }
        Ok(chosen)
    }

    fn in_grayordinates(&self, brain: &BrainModels, findings: &mut Findings) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        let Some(path) = &self.atlas else {
            for (place, grayordinate) in grayordinates(brain).enumerate() {
                let structure = grayordinate.structure;
                let roi = structure.strip_prefix(STRUCTURE).unwrap_or(structure);
                chosen.push(place, grayordinate.coordinate(), roi);
            }
            return Ok(chosen);
        };
        let (parcels, labels) = read_parcels(path, brain, findings)?;
        let mut members = Vec::new();
        let mut nameless = BTreeMap::new();
        for (place, grayordinate) in grayordinates(brain).enumerate() {
            let key = parcels.get(&grayordinate).copied().unwrap_or(0);
            match labels.get(&key) {
                // Key 0, mostly called ???, is what belongs to no parcel.
                _ if key == 0 => {}
                Some(name) if name == "???" => {}
                Some(name) => members.push((key, place, grayordinate.coordinate(), name)),
                None => *nameless.entry(key).or_default() += 1,
            }
        }
        members.sort_by_key(|(key, ..)| *key);
        for (_, place, coordinate, name) in members {
            chosen.push(place, coordinate, name);
        }
        if chosen.places.is_empty() {
            let message = "expected parcels on the vertices of the recordings, found none";
            return Err(Error::invalid(path, message));
        }
        atlas::warn_of_nameless(path, &nameless, findings);
        Ok(chosen)
    }
}

/// One value of a time point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Grayordinate<'b> {
    structure: &'b str,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Vertex(usize),
    Voxel([usize; 3]),
}

impl Grayordinate<'_> {
    fn coordinate(self) -> Option<[i32; 3]> {
        match self.place {
            Place::Vertex(_) => None,
            Place::Voxel(voxel) => Some(voxel.map(|index| index as i32)),
        }
    }
}

fn grayordinates(brain: &BrainModels) -> impl Iterator<Item = Grayordinate<'_>> {
    brain.models.iter().flat_map(|model| {
        let places: Vec<Place> = match &model.locations {
            Location::Surface { indices, .. } => {
                indices.iter().copied().map(Place::Vertex).collect()
            }
            Location::Voxels(voxels) => voxels.iter().copied().map(Place::Voxel).collect(),
        };
        let structure = model.structure.as_str();
        let places = places.into_iter();
        places.map(move |place| Grayordinate { structure, place })
    })
}

type Parcels<'b> = (HashMap<Grayordinate<'b>, i32>, HashMap<i32, String>);

/// The key of each grayordinate of `brain` that a .dlabel.nii has, and the keys' names.
fn read_parcels<'b>(
    path: &Path,
    brain: &'b BrainModels,
    findings: &mut Findings,
) -> Result<Parcels<'b>> {
    let mut file = Cifti::open(path)?;
    let (Axis::Labels(maps), Axis::BrainModels(own)) = (file.columns(), file.rows()) else {
        let message = "expected an atlas of grayordinates (.dlabel.nii), found other axes";
        return Err(Error::invalid(path, message));
    };
    let (maps, own) = (maps.clone(), own.clone());
    for model in &own.models {
        let mut same = brain
            .models
            .iter()
            .filter(|other| other.structure == model.structure);
        if let Location::Surface { vertices, .. } = &model.locations
            && let Some(other) = same.next()
            && let Location::Surface {
                vertices: expected, ..
            } = &other.locations
            && vertices != expected
        {
            let structure = &model.structure;
            let message = format!(
                "{structure}: expected a surface of {expected} vertices, as the recordings have, \
                 found {vertices}"
            );
            return Err(Error::invalid(path, message));
        }
    }
    let keys = file.read_all()?;
    let structures: HashMap<&str, &'b str> = brain
        .models
        .iter()
        .map(|model| (model.structure.as_str(), model.structure.as_str()))
        .collect();
    let mut parcels = HashMap::new();
    for (grayordinate, key) in grayordinates(&own).zip(keys.column(0)) {
        if let Some(structure) = structures.get(grayordinate.structure).copied() {
            let place = grayordinate.place;
            let whole = atlas::key(*key).ok_or_else(|| {
                let message = format!("expected whole numbers as keys of labels, found {key}");
                Error::invalid(path, message)
            })?;
            parcels.insert(Grayordinate { structure, place }, whole);
        }
    }
    let mut maps = maps.into_iter();
    let first = maps.next();
    let others: Vec<String> = maps.map(|map| map.name).collect();
    if let Some(first) = first.as_ref().filter(|_| !others.is_empty()) {
        let (path, first, others) = (path.display(), &first.name, others.join(", "));
        let message = format!("{path}: the first map ({first}) is the atlas; left out: {others}");
        findings.warn(message);
    }
    let labels = first.map_or_else(Vec::new, |map| map.labels).into_iter();
    let labels = labels.map(|label| (label.key, label.name)).collect();
    Ok((parcels, labels))
}
