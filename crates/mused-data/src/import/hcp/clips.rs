//! The four movie runs and the seconds of their clips.

use std::path::Path;

use crate::{Error, Part, Result, Stimulus};

/// A run, as everybody saw it.
#[derive(Debug)]
pub(super) struct Movie {
    /// Name of the run's folder and start of its files.
    pub(super) run: &'static str,
    /// Name of the movie, of its labels and, after `7T_`, of its file.
    pub(super) name: &'static str,
    /// Volumes, one a second.
    pub(super) seconds: usize,
    /// First second of each clip, and the first after it. The 76-s clip at the end of every run, the
    /// same four times, is left out.
    clips: &'static [[usize; 2]],
    part: Part,
    /// Scanning session of the 7T protocol.
    pub(super) session: u32,
}

impl Movie {
    /// The last second of the last clip.
    pub(super) fn last_second(&self) -> usize {
        self.clips.last().map_or(0, |[_, end]| end - 1)
    }
}

/// Clips are those of the published code (`clip_times_24.npy`, frames of 24 a second): within the film
/// excerpts, from 6 s after the 20-s rest before each, up to the credits.
pub(super) const MOVIES: [Movie; 4] = [
    Movie {
        run: "tfMRI_MOVIE1_7T_AP",
        name: "MOVIE1_CC1",
        seconds: 921,
        clips: &[[26, 231], [289, 505], [531, 705], [740, 797]],
        part: Part::Train,
        session: 1,
    },
    Movie {
        run: "tfMRI_MOVIE2_7T_PA",
        name: "MOVIE2_HO1",
        seconds: 918,
        clips: &[[26, 246], [272, 525], [551, 794]],
        part: Part::Train,
        session: 1,
    },
    Movie {
        run: "tfMRI_MOVIE3_7T_PA",
        name: "MOVIE3_CC2",
        seconds: 915,
        clips: &[[26, 199], [227, 403], [431, 615], [655, 791]],
        part: Part::Train,
        session: 4,
    },
    Movie {
        run: "tfMRI_MOVIE4_7T_AP",
        name: "MOVIE4_HO2",
        seconds: 901,
        clips: &[[26, 252], [278, 502], [528, 777]],
        part: Part::Test,
        session: 4,
    },
];

/// Seconds of the clips of the test run, as published scores were computed on.
pub(super) const TEST_SECONDS: usize = 699;

/// A stimulus: one second of a clip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    /// Index into [`MOVIES`].
    pub(super) movie: usize,
    /// Clip of the movie, from 0.
    clip: usize,
    /// Second of the run and of the movie's file, from 0.
    pub(super) second: usize,
}

impl Second {
    pub(super) fn movie(self) -> &'static Movie {
        &MOVIES[self.movie]
    }

    pub(super) fn is_test(self) -> bool {
        self.movie().part == Part::Test
    }

    fn stimulus(self, file: Option<&str>) -> Stimulus {
        let number = self.movie + 1;
        let mut stimulus = Stimulus::new(format!("movie{number}_{:04}", self.second));
        stimulus.group = format!("movie{number}_clip{}", self.clip + 1);
        stimulus.part = Some(self.movie().part);
        stimulus.file = file.map(str::to_owned);
        stimulus.frame = file.map(|_| self.second as u64);
        stimulus
    }
}

/// All seconds of all clips, movie by movie.
pub(super) fn seconds() -> Vec<Second> {
    let mut all = Vec::new();
    for (movie, run) in MOVIES.iter().enumerate() {
        for (clip, &[start, end]) in run.clips.iter().enumerate() {
            all.extend((start..end).map(|second| Second {
                movie,
                clip,
                second,
            }));
        }
    }
    all
}

/// The stimuli of `seconds`, with the movie's file where `movies` has it.
pub(super) fn stimuli(seconds: &[Second], movies: Option<&Path>) -> Result<Vec<Stimulus>> {
    let mut files = Vec::new();
    for movie in &MOVIES {
        files.push(movies.map(|folder| file(folder, movie)).transpose()?);
    }
    let stimuli = seconds.iter();
    Ok(stimuli
        .map(|second| second.stimulus(files[second.movie].as_deref()))
        .collect())
}

/// The film of a run, of the version shown from August 2014 on or of the first.
fn file(folder: &Path, movie: &Movie) -> Result<String> {
    let names = ["_v2", ""].map(|version| format!("7T_{}{version}.mp4", movie.name));
    let mut paths = names.iter().map(|name| folder.join(name));
    let path = paths.find(|path| path.is_file()).ok_or_else(|| {
        let message = format!("expected {} or {}, found neither", names[0], names[1]);
        Error::invalid(folder, message)
    })?;
    let path = path
        .canonicalize()
        .map_err(Error::io("cannot read", &path))?;
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::invalid(&path, "expected a path in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_have_the_published_seconds_and_leave_room_for_rest_and_the_last_clip() {
        let lengths = MOVIES.map(|movie| {
            let lengths = movie.clips.iter().map(|[start, end]| end - start);
            lengths.collect::<Vec<_>>()
        });
        assert_eq!(lengths[0], [205, 216, 174, 57]);
        assert_eq!(lengths[1], [220, 253, 243]);
        assert_eq!(lengths[2], [173, 176, 184, 136]);
        assert_eq!(lengths[3], [226, 224, 249]);
        for movie in &MOVIES {
            let mut before = 0;
            for &[start, end] in movie.clips {
                assert!(start >= before + 20 && end > start);
                before = end;
            }
            // Rest, the clip of 76 s that all runs end with, and rest.
            assert!(before + 20 + 76 + 20 <= movie.seconds);
        }
        let test = seconds().into_iter().filter(|second| second.is_test());
        assert_eq!(test.count(), TEST_SECONDS);
        assert_eq!(seconds().len(), 652 + 716 + 669 + 699);
    }
}
