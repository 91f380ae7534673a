use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use mused_clip::RgbImage;
use mused_data::Stimulus;
use mused_formats::{hdf5, quoted};
use sha2::{Digest, Sha256};

use super::{Error, Result};

/// What a film's name ends in.
const FILMS: [&str; 7] = ["mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg"];
const HDF5: [&str; 3] = ["hdf5", "h5", "hdf"];

/// The dataset of images in NSD's stimulus file.
const BRICK: &str = "imgBrick";

/// Largest image side taken from a film: a guard against a stream that is none.
const MAX_SIDE: usize = 16_384;

/// Where the images of a stimulus come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// An image file.
    Image(PathBuf),
    /// A row of images × height × width × 3 in an HDF5 file.
    Row(PathBuf, usize),
    /// The image shown at a second of a film.
    Second(PathBuf, usize),
    /// A film, an image a second.
    Film(PathBuf),
}

impl Source {
    /// # Errors
    /// When the stimulus has no file, it lies neither below `root` nor in a folder that is `allow`ed, or its `frame`
    /// does not fit the file.
    pub(super) fn of(stimulus: &Stimulus, root: &Path, allow: &[PathBuf]) -> Result<Self> {
        let Some(file) = &stimulus.file else {
            return Err(Error::Request(format!(
                "stimulus {} has no file: name its image in the `file` column of stimuli.tsv",
                stimulus.id
            )));
        };
        let path = root.join(file);
        let within = |found: &Path| {
            let mut folders = allow.iter().map(PathBuf::as_path).chain([root]);
            folders.any(|folder| folder.canonicalize().is_ok_and(|f| found.starts_with(f)))
        };
        // A dataset may come from a stranger: what it shows of this machine is for its user to say. What is not there says
        // so when it is read.
        if let Ok(found) = path.canonicalize()
            && !within(&found)
        {
            let folder = found.parent().unwrap_or(&found);
            return Err(Error::Request(format!(
                "stimulus {}: its file {} lies outside of the dataset {}; if it is meant to be read, say so with \
                 --allow {}",
                stimulus.id,
                found.display(),
                root.display(),
                quoted(folder)
            )));
        }
        let extension = path
            .extension()
            .map_or(String::new(), |e| e.to_string_lossy().to_lowercase());
        let frame = stimulus.frame.map(|frame| frame as usize);
        match (frame, extension.as_str()) {
            (Some(row), end) if HDF5.contains(&end) => Ok(Self::Row(path, row)),
            (None, end) if HDF5.contains(&end) => Err(Error::Request(format!(
                "stimulus {}: {} holds many images; name the row in the `frame` column",
                stimulus.id,
                path.display()
            ))),
            (Some(second), end) if FILMS.contains(&end) => Ok(Self::Second(path, second)),
            (None, end) if FILMS.contains(&end) => Ok(Self::Film(path)),
            (None, _) => Ok(Self::Image(path)),
            (Some(frame), _) => Err(Error::Request(format!(
                "stimulus {}: frame {frame} of {}, which is neither HDF5 nor a film",
                stimulus.id,
                path.display()
            ))),
        }
    }

    /// What tells whether the images have changed: the bytes of an image; size and time of the
    /// last change of files too large to read for that.
    pub(super) fn identity(&self) -> Result<String> {
        match self {
            Self::Image(path) => {
                let bytes = mused_formats::read(path)?;
                Ok(format!("{:x?}", Sha256::digest(&bytes)))
            }
            Self::Row(path, _) | Self::Second(path, _) | Self::Film(path) => {
                let about = std::fs::metadata(path).map_err(Error::io("cannot read", path))?;
                let changed = about.modified().map_err(Error::io("cannot read", path))?;
                Ok(format!("{self:?} {} {changed:?}", about.len()))
            }
        }
    }
}

/// Reads images; keeps the last HDF5 file and film open.
#[derive(Default)]
pub(super) struct Frames {
    brick: Option<(PathBuf, hdf5::Dataset)>,
    film: Option<Film>,
}

impl Frames {
    /// Gives every image of a source to `take`.
    pub(super) fn each(
        &mut self,
        source: &Source,
        mut take: impl FnMut(RgbImage) -> Result<()>,
    ) -> Result<()> {
        match source {
            Source::Image(path) => take(RgbImage::open(path)?),
            Source::Row(path, row) => {
                let image = self.row(path, *row)?;
                take(image)
            }
            Source::Second(path, second) => {
                let image = self.second(path, *second)?;
                take(image)
            }
            Source::Film(path) => {
                let mut film = Film::open(path)?;
                let mut any = false;
                while let Some(image) = film.next()? {
                    any = true;
                    take(image)?;
                }
                any.then_some(()).ok_or_else(|| film.too_short(0))
            }
        }
    }

    fn row(&mut self, path: &Path, row: usize) -> Result<RgbImage> {
        let known = self.brick.take().filter(|(open, _)| open == path);
        let (_, brick) = match known {
            Some(open) => self.brick.insert(open),
            None => {
                let brick = hdf5::File::open(path)?.dataset(BRICK)?;
                self.brick.insert((path.to_owned(), brick))
            }
        };
        match *brick.shape() {
            [rows, height, width, 3] if row < rows => {
                let image = brick.read_rows_u8(row..row + 1)?;
                Ok(RgbImage::new(width, height, image.into_iter().collect())?)
            }
            [rows, _, _, 3] => Err(Error::Request(format!(
                "{}: expected frames below {rows}, found {row}",
                path.display()
            ))),
            ref shape => Err(Error::Request(format!(
                "{}: expected {BRICK} of images × height × width × 3, found {shape:?}",
                path.display()
            ))),
        }
    }

    fn second(&mut self, path: &Path, second: usize) -> Result<RgbImage> {
        let known = self.film.take();
        let known = known.filter(|film| film.path == path && film.shown <= second);
        let film = match known {
            Some(open) => self.film.insert(open),
            None => self.film.insert(Film::open(path)?),
        };
        loop {
            let shown = film.shown;
            match film.next()? {
                Some(image) if shown == second => return Ok(image),
                Some(_) => {}
                None => return Err(film.too_short(second)),
            }
        }
    }
}

/// A film decoded by `ffmpeg`, an image a second.
struct Film {
    path: PathBuf,
    process: Child,
    images: BufReader<ChildStdout>,
    /// Images given so far.
    shown: usize,
}

impl Film {
    fn open(path: &Path) -> Result<Self> {
        std::fs::metadata(path).map_err(Error::io("cannot read", path))?;
        let mut process = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(path)
            .args(["-vf", "fps=1", "-f", "image2pipe", "-c:v", "ppm", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| {
                Error::Request(format!(
                    "{} is a film, which needs the program ffmpeg on the PATH to be read ({error})",
                    path.display()
                ))
            })?;
        let Some(images) = process.stdout.take() else {
            return Err(Error::Request("ffmpeg gave no output".to_owned()));
        };
        Ok(Self {
            path: path.to_owned(),
            process,
            images: BufReader::with_capacity(1 << 20, images),
            shown: 0,
        })
    }

    /// The next second's image: a binary PPM of 8 bits.
    fn next(&mut self) -> Result<Option<RgbImage>> {
        let mut magic = [0; 2];
        if !self.fill(&mut magic)? {
            return self.ended();
        }
        let mut numbers = [0; 3];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let [width, height, most] = numbers;
        if magic != *b"P6" || most != 255 || width.max(height) > MAX_SIDE || width * height == 0 {
            return Err(self.unexpected());
        }
        let mut values = vec![0; width * height * 3];
        if !self.fill(&mut values)? {
            return Err(self.unexpected());
        }
        self.shown += 1;
        Ok(Some(RgbImage::new(width, height, values)?))
    }

    /// No image, if the film was read to its end.
    fn ended<T>(&mut self) -> Result<Option<T>> {
        let status = self.process.wait();
        let status = status.map_err(Error::io("cannot decode", &self.path))?;
        if status.success() {
            return Ok(None);
        }
        Err(Error::Request(format!(
            "{0}: ffmpeg failed after {1} seconds ({status}): is the film whole? `ffmpeg -v error -i {0} -f null -` says \
             what is wrong",
            self.path.display(),
            self.shown
        )))
    }

    /// A decimal number and the one white-space character that ends it.
    fn number(&mut self) -> Result<usize> {
        let mut number: Option<usize> = None;
        loop {
            let mut byte = [0];
            if !self.fill(&mut byte)? {
                return Err(self.unexpected());
            }
            match (byte[0], number) {
                (digit @ b'0'..=b'9', before) => {
                    let value = before.unwrap_or(0) * 10 + usize::from(digit - b'0');
                    if value > MAX_SIDE {
                        return Err(self.unexpected());
                    }
                    number = Some(value);
                }
                (byte, Some(number)) if byte.is_ascii_whitespace() => return Ok(number),
                (byte, None) if byte.is_ascii_whitespace() => {}
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// Fills the buffer; false at the end of the stream.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.images.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(Error::io("cannot read", &self.path)(error)),
        }
    }

    fn unexpected(&self) -> Error {
        Error::Request(format!(
            "{}: ffmpeg gave something other than images after {} seconds; is it a film?",
            self.path.display(),
            self.shown
        ))
    }

    fn too_short(&self, second: usize) -> Error {
        Error::Request(format!(
            "{}: expected an image at second {second}, found {} seconds (`ffmpeg -i {0}` says why)",
            self.path.display(),
            self.shown
        ))
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
