use std::path::{Path, absolute};

use crate::{Dataset, DatasetWriter, Error, Result};

impl Dataset {
    /// Writes a dataset directory. Files that stimuli name stay where they are.
    ///
    /// # Errors
    /// When `destination` exists, a response or feature is not finite, or reading or writing fails.
    pub fn write(&self, destination: impl AsRef<Path>) -> Result<()> {
        let mut stimuli = self.stimuli.to_vec();
        if let Some(root) = self.root() {
            // Relative ones are named from the directory that this one leaves.
            let root = absolute(root).map_err(Error::io("cannot find", root))?;
            for file in stimuli.iter_mut().filter_map(|s| s.file.as_mut()) {
                *file = root.join(&*file).to_string_lossy().into_owned();
            }
        }
        let description = self.description.clone();
        let mut writer = DatasetWriter::create(destination, description, stimuli, &self.labels)?;
        for subject in &self.subjects {
            let (id, voxels) = (&subject.id, &subject.voxels);
            let dtype = subject.responses.dtype();
            let mut rows = writer.subject(id, &subject.trials, voxels, dtype)?;
            let mut row = vec![0.0; voxels.len()];
            for trial in 0..subject.trials.len() {
                subject.read_response(trial, &mut row)?;
                rows.write_response(&row)?;
            }
            rows.finish()?;
            if let Some(grid) = subject.grid()? {
                writer.mask(id, &grid, &voxels.iter().collect::<Vec<_>>())?;
            }
            let motion = subject.motion()?;
            if !motion.is_empty() {
                writer.motion(id, &motion)?;
            }
            if let Some(places) = subject.grayordinates()? {
                let mut columns = vec![0; voxels.len()];
                for (place, column) in places.columns.iter().enumerate() {
                    if let Some(column) = *column {
                        columns[column] = place;
                    }
                }
                writer.grayordinates(id, &places.brain, &columns)?;
            }
        }
        for features in &self.features {
            writer.features(features, self.read_features(features)?.view())?;
        }
        writer.finish()
    }
}
