use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use mused_formats::{make_folder, quoted, replace_file};

use super::Plan;
use crate::Result;

const LOGS: &str = "logs";

/// What an array of SLURM asks for.
#[derive(Clone, Debug)]
pub struct Script {
    /// The program.
    pub mused: PathBuf,
    /// Where it runs; `None` leaves the choice to SLURM.
    pub partition: Option<String>,
    /// Who pays.
    pub account: Option<String>,
    /// Time of a job.
    pub time: Duration,
    /// Bytes of memory of a job; `None` leaves the choice to SLURM.
    pub memory: Option<u64>,
    /// Processors of a job.
    pub cpus: usize,
}

impl Plan {
    /// Writes the script that makes all tasks.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_script(&self, script: &Script) -> Result<()> {
        let logs = self.folder.join(LOGS);
        make_folder(&logs).map_err(mused_run::Error::io("cannot create", &logs))?;
        let text = script.text(self);
        replace_file(self.submit_path(), text.as_bytes()).map_err(mused_run::Error::from)?;
        Ok(())
    }
}

impl Script {
    fn text(&self, plan: &Plan) -> String {
        let mut text = "#!/bin/sh\n".to_owned();
        let mut option = |name: &str, value: Option<String>, else_: &str| {
            // Writing to a String cannot fail.
            let _ = match value {
                Some(value) => writeln!(text, "#SBATCH --{name}={value}"),
                None => writeln!(text, "##SBATCH --{name}={else_}"),
            };
        };
        let minutes = self.time.as_secs().div_ceil(60).max(1);
        let megabytes = self
            .memory
            .map(|bytes| format!("{}M", bytes.div_ceil(1 << 20)));
        option("job-name", Some("mused".to_owned()), "");
        option("array", Some(format!("1-{}", plan.tasks())), "");
        option("cpus-per-task", Some(self.cpus.to_string()), "");
        option("time", Some(minutes.to_string()), "");
        option("mem", megabytes, "4G");
        option("partition", self.partition.clone(), "NAME");
        option("account", self.account.clone(), "NAME");
        let logs = plan.folder.join(LOGS);
        option("output", Some(quoted(logs.join("%A_%a.txt"))), "");
        let (folder, logs, mused) = (quoted(&plan.folder), quoted(&logs), quoted(&self.mused));
        // A step may take long: what is left after this is for it, and for saving.
        let limit = (minutes * 60)
            .saturating_sub((minutes * 6).clamp(20, 600))
            .max(1);
        let _ = write!(
            text,
            r#"#SBATCH --open-mode=append
#SBATCH --requeue

# In a container: mused() {{ apptainer exec --bind /data mused.sif mused "$@"; }}
mused() {{ {mused} "$@"; }}

# SLURM sends it to what is cancelled, or out of time.
ended=
trap 'ended=yes' TERM

mused work {folder} --task "$SLURM_ARRAY_TASK_ID" --threads "$SLURM_CPUS_PER_TASK" --time-limit {limit}s
code=$?
case $code in
  # Nobody reads what a task that is done has said.
  0) rm -f {logs}/"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID.txt" ;;
  # Stopped by its own limit, and saved: it is queued again, and goes on. The number of one job is that of the array too.
  130) [ "$ended" ] || scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" ;;
esac
exit $code
"#
        );
        text
    }
}
