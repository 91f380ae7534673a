use std::fs;
use std::path::Path;

use mused_formats::Claim;
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

use super::{AT_WORK, Gathered, Plan};

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All its runs are complete, or were gathered.
    Done,
    /// A process has it.
    Running(Claim),
    /// The last line of why it failed.
    Failed(String),
    /// Nobody is at work on it.
    Waiting,
}

impl Plan {
    /// Where each task stands, by the files alone.
    pub fn status(&self) -> Vec<Standing> {
        let gathered = Gathered::of(self.content.tasks.iter().flatten());
        let mut standing: Vec<Standing> = (1..=self.tasks())
            .into_par_iter()
            .map(|task| self.standing(task, &gathered))
            .collect();
        for (task, claim) in claims(&self.folder) {
            match task
                .checked_sub(1)
                .and_then(|index| standing.get_mut(index))
            {
                Some(Standing::Done) | None => {}
                Some(standing) => *standing = Standing::Running(claim),
            }
        }
        standing
    }

    fn standing(&self, task: usize, gathered: &Gathered<'_>) -> Standing {
        let runs = self.runs(task).unwrap_or_default();
        if runs.par_iter().all(|run| gathered.is_done(run)) {
            return Standing::Done;
        }
        match fs::read_to_string(self.failure_path(task)) {
            Ok(why) => Standing::Failed(why.lines().last().unwrap_or_default().to_owned()),
            Err(_) => Standing::Waiting,
        }
    }
}

/// The tasks that processes are at work on, as far as can be told from here.
pub(super) fn claims(folder: &Path) -> Vec<(usize, Claim)> {
    let Ok(entries) = fs::read_dir(folder.join(AT_WORK)) else {
        return Vec::new();
    };
    let claim = |entry: fs::DirEntry| {
        let task = entry.file_name().to_str()?.parse().ok()?;
        let claim = Claim::read(entry.path())?;
        (!claim.ended_here()).then_some((task, claim))
    };
    entries.flatten().filter_map(claim).collect()
}

/// Numbers in order as SLURM writes them: `3,17-19`.
pub fn numbers(of: &[usize]) -> String {
    let runs = of.chunk_by(|a, b| a + 1 == *b);
    let text = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_an_array() {
        assert_eq!(numbers(&[]), "");
        assert_eq!(numbers(&[3, 17, 18, 19, 21]), "3,17-19,21");
    }
}
