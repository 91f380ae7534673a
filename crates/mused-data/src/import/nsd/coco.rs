//! Labels and captions of COCO 2017, for the crops that were shown.
//!
//! An image has a label where the box of one of its annotations (crowds included) and the crop share an area above 0:
//! a box that ends on the crop's border is outside. Annotations are read as a stream: memory holds the boxes of the
//! images that were asked for, never a file.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufReader, Read as _, Seek as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use mused_formats::plain;
use ndarray::Array2;
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::design::Image;
use crate::{Error, Labels, Result};

/// What COCO says of the images asked for.
#[derive(Debug)]
pub(super) struct Annotated {
    /// images × categories.
    pub(super) labels: Labels,
    /// By image; empty where no file has any.
    pub(super) captions: Vec<Vec<String>>,
    pub(super) files: Vec<PathBuf>,
    /// Captions that are not there.
    pub(super) missing: Vec<PathBuf>,
}

/// Looks up the images in the files of their splits in `folder`.
pub(super) fn read(folder: &Path, images: &[&Image]) -> Result<Annotated> {
    let mut categories: Vec<Category> = Vec::new();
    let mut has: Vec<Vec<u64>> = vec![Vec::new(); images.len()];
    let mut captions = vec![Vec::new(); images.len()];
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for split in ["train2017", "val2017"] {
        // Several crops may be of one photograph.
        let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, image) in images
            .iter()
            .enumerate()
            .filter(|(_, image)| image.coco_split == split)
        {
            wanted.entry(image.coco_id).or_default().push(place);
        }
        if wanted.is_empty() {
            continue;
        }
        let path = folder.join(format!("instances_{split}.json"));
        if !path.is_file() {
            let message = "expected the annotations of COCO 2017 (annotations_trainval2017.zip of \
                           https://cocodataset.org/#download), found none; give their folder with --coco";
            return Err(Error::invalid(path, message));
        }
        let mut boxes: HashMap<u64, Vec<Instance>> = HashMap::new();
        let found = parse(&path, &wanted, |instance: Instance| {
            if wanted.contains_key(&instance.image_id) {
                boxes.entry(instance.image_id).or_default().push(instance);
            }
        })?;
        if found.categories.is_empty() {
            let message = "categories: expected the names of the labels, found none";
            return Err(Error::invalid(path, message));
        }
        if !categories.is_empty() && categories != found.categories {
            let message = "categories: expected those of instances_train2017.json, found others";
            return Err(Error::invalid(path, message));
        }
        for (id, places) in &wanted {
            let Some(size) = found.sizes.get(id) else {
                let message =
                    format!("images: expected the image {id} (cocoId) of {split}, found none");
                return Err(Error::invalid(path, message));
            };
            for &place in places {
                let crop = images[place].crop;
                let boxes = boxes.get(id).into_iter().flatten();
                let shown = boxes.filter(|instance| instance.is_within(crop, *size));
                has[place].extend(shown.map(|instance| instance.category_id));
            }
        }
        categories = found.categories;
        files.push(path);
        let path = folder.join(format!("captions_{split}.json"));
        if !path.is_file() {
            missing.push(path);
            continue;
        }
        parse(&path, &wanted, |text: Caption| {
            // Some captions end in a line break.
            let caption = text
                .caption
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            for &place in wanted.get(&text.image_id).into_iter().flatten() {
                if !caption.is_empty() {
                    captions[place].push(caption.clone());
                }
            }
        })?;
        files.push(path);
    }
    Ok(Annotated {
        labels: labels(folder, &categories, &has)?,
        captions,
        files,
        missing,
    })
}

/// One column a category, by its number in COCO.
fn labels(folder: &Path, categories: &[Category], has: &[Vec<u64>]) -> Result<Labels> {
    let mut categories = categories.to_vec();
    categories.sort_unstable_by_key(|category| category.id);
    let columns: HashMap<u64, usize> = categories
        .iter()
        .map(|category| category.id)
        .zip(0..)
        .collect();
    let mut matrix = Array2::zeros((has.len(), categories.len()));
    for (row, ids) in has.iter().enumerate() {
        for id in ids {
            let Some(&column) = columns.get(id) else {
                let message =
                    format!("annotations: expected a category_id of the categories, found {id}");
                return Err(Error::invalid(folder, message));
            };
            matrix[[row, column]] = 1;
        }
    }
    let names = categories
        .into_iter()
        .map(|category| category.name)
        .collect();
    Ok(Labels { names, matrix })
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Size {
    id: u64,
    width: f64,
    height: f64,
}

/// A thing in an image.
#[derive(Debug, Deserialize)]
struct Instance {
    image_id: u64,
    category_id: u64,
    /// Left, top, width and height in pixels.
    bbox: [f64; 4],
}

#[derive(Debug, Deserialize)]
struct Caption {
    image_id: u64,
    caption: String,
}

impl Instance {
    fn is_within(&self, [top, bottom, left, right]: [f64; 4], size: Size) -> bool {
        let [x, y, width, height] = self.bbox;
        let share = |start: f64, length: f64, from: f64, to: f64| {
            (start + length).min(to) > start.max(from)
        };
        share(x, width, left * size.width, size.width - right * size.width)
            && share(
                y,
                height,
                top * size.height,
                size.height - bottom * size.height,
            )
    }
}

/// What a file says besides its annotations.
#[derive(Debug, Default)]
struct Found {
    /// Of the images asked for.
    sizes: HashMap<u64, Size>,
    categories: Vec<Category>,
}

/// Reads a file once, handing each of its annotations to `take`.
fn parse<A: DeserializeOwned>(
    path: &Path,
    wanted: &HashMap<u64, Vec<usize>>,
    take: impl FnMut(A),
) -> Result<Found> {
    let mut file = mused_formats::open(path).map_err(|error| error.in_file(path))?;
    let mut start = Vec::new();
    ((&file).take(1024).read_to_end(&mut start))
        .and_then(|_| file.rewind())
        .map_err(Error::io("cannot read", path))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, file));
    let visitor = Annotations {
        wanted,
        take,
        annotation: PhantomData,
    };
    let found = json.deserialize_map(visitor).and_then(|found| {
        json.end()?;
        Ok(found)
    });
    found.map_err(|error| {
        let found = match mused_formats::recognised(&start) {
            Some(other) => other.to_owned(),
            None => plain(error),
        };
        Error::invalid(
            path,
            format!("expected annotations of COCO as JSON, found {found}"),
        )
    })
}

struct Annotations<'w, A, F> {
    wanted: &'w HashMap<u64, Vec<usize>>,
    take: F,
    annotation: PhantomData<A>,
}

impl<'de, A: DeserializeOwned, F: FnMut(A)> Visitor<'de> for Annotations<'_, A, F> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with annotations")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> std::result::Result<Found, M::Error> {
        let mut found = Found::default();
        let mut annotated = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "images" => map.next_value_seed(Each(
                    |size: Size| {
                        if self.wanted.contains_key(&size.id) {
                            found.sizes.insert(size.id, size);
                        }
                    },
                    PhantomData,
                ))?,
                "annotations" => {
                    map.next_value_seed(Each(&mut self.take, PhantomData))?;
                    annotated = true;
                }
                "categories" => found.categories = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match annotated {
            true => Ok(found),
            false => Err(serde::de::Error::missing_field("annotations")),
        }
    }
}

/// Hands the elements of an array to a function, one at a time.
struct Each<T, F>(F, PhantomData<T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<T, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut array: S) -> std::result::Result<(), S::Error> {
        while let Some(element) = array.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}
