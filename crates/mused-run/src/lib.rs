//! The run directory, through which training, scoring, explaining and reporting pass everything to one another: its
//! files, their schemas, and the configuration a run is made from. Every file name and every schema stands here once.
//!
//! ```text
//! config.toml                  every effective value and where it came from
//! run.json                     version, dataset and its identity, resolved facts, audit, machine, times
//! split.tsv                    fold, part, stimulus_id, group
//! metrics.jsonl  tensorboard/  losses and validation scores, an epoch and model
//! checkpoints/TASK/            weights, input statistics, test probabilities of one model
//! labels.tsv                   columns of the predictions
//! trials.tsv                   their rows: fold, subject, stimulus_id
//! shown.tsv                    the stimuli in the order in which they were first shown
//! predictions.npy targets.npy  rows × labels: probabilities (f32) and truth (u8)
//! sha256.tsv                   digests of these tables and arrays, and in each folder of checkpoints/ of its files
//! results.json                 scores (after `mused evaluate`)
//! ridge/                       the ridge regression beside a network: a run directory of its own
//! permutations/scores.tsv      scores of pipelines retrained on relabelled stimuli (after `mused permute`)
//! chosen.tsv                   which candidate each model is (of a benchmark with a budget)
//! explain/                     attention, occlusion, tokens, RDMs (after `mused explain`)
//! report.html                  (after `mused report`)
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
mod epochs;
mod error;
mod in_words;
mod predictions;
mod record;
mod results;
mod retrained;
mod retrieval;
mod run;
mod split;
mod task;
mod verdict;

pub use config::{
    AlignedRidgeConfig, Alignment, AuditConfig, BrainFormerConfig, Config, EACH, FAMILIES, Family,
    GuidanceConfig, Identity, InputConfig, Layers, Levels, LossConfig, MODELS, MlpConfig,
    ModelConfig, NamedModel, Onto, Optimizer, Orthogonality, PRESETS, Pooling, Precision,
    PrevalenceConfig, Published, Range, Reading, Regions, RidgeConfig, RsaForm, Schedule, Setting,
    Settled, SplitConfig, SubjectLinearConfig, Tokenizer, TrainConfig, TransformerConfig, Trials,
    VolumeIdentity,
};
pub use epochs::{EpochLosses, EpochRecord, ValidationScores};
pub use error::{Error, Result};
pub use predictions::{PredictionRow, Predictions};
pub use record::{
    Adapted, AlignedInputs, DatasetReference, GuidanceUse, HeldOut, Inputs, Machine, Resolved,
    RunRecord,
};
pub use results::{
    AccuracyResult, Calibration, FloorScores, GeometryCeiling, Inference, IntervalResult,
    LabelResult, LabelTest, Macro, MetricInference, NoiseCeiling, OverSubjects, RESULTS_SCHEMA,
    Results, Stated, SubjectResult, TestResult,
};
pub use retrained::Retrained;
pub use retrieval::{
    FolderResults, MeasureOfWords, MeasureResult, RETRIEVAL_SCHEMA, RetrievalResults, WORDS_SCHEMA,
    WordLabel, WordsResults, WordsTruth,
};
pub use run::{Parts, RidgeBeside, Run, run_directories};
pub use split::{Division, FoldSizes};
pub use task::Task;
pub use verdict::{AgainstRidge, Standing, Verdict};
