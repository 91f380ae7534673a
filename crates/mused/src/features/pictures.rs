use std::path::PathBuf;

use mused_data::Stimulus;
use mused_report::{Images, Pixels};

use super::frames::{Frames, Source};

/// Pictures of a dataset's stimuli for a report: images, rows of HDF5 files, seconds of films.
pub struct Pictures {
    root: PathBuf,
    allow: Vec<PathBuf>,
    frames: Frames,
}

impl Pictures {
    /// Of the dataset in a folder: of that folder and of others that are `allow`ed.
    pub fn new(root: impl Into<PathBuf>, allow: &[PathBuf]) -> Self {
        Self {
            root: root.into(),
            allow: allow.to_vec(),
            frames: Frames::default(),
        }
    }
}

impl Images for Pictures {
    fn read(&mut self, stimulus: &Stimulus) -> Result<Pixels, String> {
        let words = |error: super::Error| error.to_string();
        let source = match Source::of(stimulus, &self.root, &self.allow).map_err(words)? {
            // Of a whole film its first second.
            Source::Film(path) => Source::Second(path, 0),
            other => other,
        };
        let mut found = None;
        let take = |image: mused_clip::RgbImage| {
            found = Some(Pixels {
                width: image.width(),
                height: image.height(),
                rgb: image.values().to_vec(),
            });
            Ok(())
        };
        self.frames.each(&source, take).map_err(words)?;
        found.ok_or_else(|| format!("{} holds no picture", stimulus.id))
    }
}
