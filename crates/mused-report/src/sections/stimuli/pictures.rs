use mused_data::Dataset;

use crate::input::{Images, Part, thumbnail};

/// Pictures of stimuli, and why some are missing.
pub(super) struct Pictures<'a> {
    dataset: Option<&'a Dataset>,
    images: &'a mut dyn Images,
    found: usize,
    missing: Vec<String>,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(dataset: Option<&'a Dataset>, images: &'a mut dyn Images) -> Self {
        Self {
            dataset,
            images,
            found: 0,
            missing: Vec::new(),
        }
    }

    /// A small picture as a URL, with its size.
    pub(super) fn read(&mut self, id: &str) -> Option<(String, usize, usize)> {
        match self.picture(id) {
            Ok(image) => {
                self.found += 1;
                Some(image)
            }
            Err(why) => {
                self.missing.push(why);
                None
            }
        }
    }

    fn picture(&mut self, id: &str) -> Part<(String, usize, usize)> {
        let mut stimuli = self
            .dataset
            .into_iter()
            .flat_map(|dataset| dataset.stimuli.iter());
        match stimuli.find(|stimulus| stimulus.id == id) {
            None => Err("the dataset cannot be read now".to_owned()),
            Some(stimulus) if stimulus.file.is_none() => {
                Err("the dataset names no files of its stimuli".to_owned())
            }
            Some(stimulus) => {
                let pixels = self.images.read(stimulus)?;
                thumbnail(&pixels).ok_or_else(|| format!("the picture of {id} is broken"))
            }
        }
    }

    pub(super) fn any(&self) -> bool {
        self.found > 0
    }

    pub(super) fn why_missing(&self) -> Option<String> {
        let first = self.missing.first()?;
        Some(match self.found {
            0 => format!("There are no pictures: {first}."),
            _ => format!(
                "{} pictures are missing; the first because {first}.",
                self.missing.len()
            ),
        })
    }
}
