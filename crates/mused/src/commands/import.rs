use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use mused::data::Imported;
use mused::data::import::bids::{self, BidsConfig, Drift, Estimate, FilePatterns, Region};
use mused::data::import::hcp::{self, HcpConfig, Scale};
use mused::data::import::npy::{self, NpyConfig};
use mused::data::import::nsd::{self, NsdConfig, Repeats};
use mused::data::import::rdm::{self, RdmConfig};
use mused::formats::npy::Dtype;
use mused::formats::quoted;

use crate::args::{
    BetasArg, FloatArg, ImportArgs, ImportBidsArgs, ImportHcpArgs, ImportNpyArgs, ImportNsdArgs,
    ImportRdmArgs, ImportSource, RepeatsArg, ScaleArg, ZscoreArg,
};
use crate::bars::{Counter, bar};

pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let out = args.source.out();
    let imported = match &args.source {
        ImportSource::Hcp(_) | ImportSource::Nsd(_) => {
            let counter = Counter::new(args.source.unit());
            let imported = import(&args.source, &mut |done, total| counter.set(done, total))?;
            counter.finish();
            imported
        }
        source => under_bar(source.unit(), |progress| import(source, progress))?,
    };
    match &args.source {
        ImportSource::Rdm(_) | ImportSource::Npy(_) => tell_done(&imported, out),
        ImportSource::Nsd(_) => tell(&imported, "sessions", out),
        ImportSource::Bids(_) | ImportSource::Hcp(_) => tell(&imported, "runs", out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a dataset of published files.
pub(crate) fn import(
    source: &ImportSource,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Imported> {
    if let Some(read) = source.data() {
        refuse_inside(read, source.out())?;
    }
    Ok(match source {
        ImportSource::Rdm(args) => {
            rdm::import(&args.manifest, &args.out, &rdm_config(args), progress)
        }
        ImportSource::Bids(args) => {
            bids::import(&args.root, &args.out, &bids_config(args)?, progress)
        }
        ImportSource::Hcp(args) => hcp::import(&args.root, &args.out, &hcp_config(args), progress),
        ImportSource::Nsd(args) => nsd::import(&args.root, &args.out, &nsd_config(args), progress),
        ImportSource::Npy(args) => {
            npy::import(&args.folder, &args.out, &npy_config(args), progress)
        }
    }?)
}

/// A BIDS folder without any option.
pub(super) fn bids_as_it_is(root: &Path, out: &Path) -> anyhow::Result<Imported> {
    under_bar("runs", |progress| {
        Ok(bids::import(root, out, &BidsConfig::default(), progress)?)
    })
}

/// A folder of arrays without any option.
pub(super) fn npy_as_it_is(folder: &Path, out: &Path) -> anyhow::Result<Imported> {
    refuse_inside(folder, out)?;
    under_bar("subjects", |progress| {
        Ok(npy::import(folder, out, &NpyConfig::default(), progress)?)
    })
}

fn bids_config(args: &ImportBidsArgs) -> anyhow::Result<BidsConfig> {
    let mut regions = Vec::new();
    for roi in &args.roi {
        let (name, path) = roi
            .split_once('=')
            .with_context(|| format!("--roi: expected NAME=PATTERN, found {roi:?}"))?;
        regions.push(Region::Mask {
            name: name.to_owned(),
            path: path.to_owned(),
        });
    }
    regions.extend(args.atlas.clone().map(|path| Region::Atlas {
        path,
        names: args.atlas_names.clone(),
    }));
    let patterns = args.bold.clone().zip(args.events.clone());
    let mut config = BidsConfig {
        name: args.name.clone(),
        licence: args.licence.clone(),
        citation: args.citation.clone(),
        derivatives: args.derivatives.clone(),
        patterns: patterns.map(|(bold, events)| FilePatterns {
            bold,
            events,
            confounds: args.confounds_file.clone(),
        }),
        subjects: args.subject.clone(),
        task: args.task.clone(),
        space: args.space.clone(),
        entities: args.entity.clone(),
        regions,
        estimate: match (args.betas, args.window) {
            (Some(BetasArg::Lsa), _) => Estimate::Lsa,
            (Some(BetasArg::Lss), _) => Estimate::Lss,
            (None, window) => Estimate::Window(window),
        },
        drift: match args.polynomial {
            Some(order) => Drift::Polynomial { order },
            None => Drift::Cosine {
                high_pass: args.high_pass,
            },
        },
        confounds: args.confound.clone(),
        zscore: args.zscore,
        stimulus_column: args.stimulus_column.clone(),
        exclude: args.exclude.clone(),
        nuisance: args.nuisance.clone(),
        merge_gap: args.merge_gap,
        tr: args.tr,
        allow: args.allow.clone(),
        ..BidsConfig::default()
    };
    if !args.label_column.is_empty() {
        config.label_columns.clone_from(&args.label_column);
    }
    Ok(config)
}

fn hcp_config(args: &ImportHcpArgs) -> HcpConfig {
    let default = HcpConfig::default();
    HcpConfig {
        name: args.name.clone().unwrap_or(default.name),
        subjects: args.subjects.clone(),
        variant: args.variant.clone(),
        delay: args.delay,
        scale: match args.scale {
            ScaleArg::Zscore => Scale::Zscore,
            ScaleArg::Minmax => Scale::MinMax,
            ScaleArg::None => Scale::None,
        },
        dtype: args.dtype.map(|dtype| match dtype {
            FloatArg::F16 => Dtype::F16,
            FloatArg::F32 => Dtype::F32,
        }),
        mask: args.mask.clone(),
        atlas: args.atlas.clone(),
        atlas_names: args.atlas_names.clone(),
        wordnet: args.wordnet.clone(),
        label_names: args.label_names.clone(),
        label_frequency: args.label_frequency,
        movies: args.movies.clone(),
        allow: args.allow.clone(),
    }
}

fn nsd_config(args: &ImportNsdArgs) -> NsdConfig {
    NsdConfig {
        name: args.name.clone(),
        subjects: args.subjects.clone(),
        sessions: args.sessions.clone(),
        betas: args.betas.clone(),
        resolution: args.resolution.clone(),
        rois: args.roi.clone(),
        coco: args.coco.clone(),
        zscore: matches!(args.zscore, ZscoreArg::Session),
        repeats: match args.repeats {
            RepeatsArg::Average => Repeats::Average,
            RepeatsArg::Keep => Repeats::Keep,
        },
        allow: args.allow.clone(),
    }
}

fn npy_config(args: &ImportNpyArgs) -> NpyConfig {
    NpyConfig {
        name: args.name.clone(),
        licence: args.licence.clone(),
        citation: args.citation.clone(),
        allow: args.allow.clone(),
    }
}

/// Nothing is written among somebody's data, where the next import would find it; what BIDS has a place for is written there.
pub(super) fn refuse_inside(source: &Path, out: &Path) -> anyhow::Result<()> {
    let whole = |path: &Path| path.canonicalize().ok();
    let absolute = std::path::absolute(out)?;
    let there = absolute.ancestors().find_map(whole);
    if absolute.starts_with(std::path::absolute(source)?.join("derivatives")) {
        return Ok(());
    }
    match whole(source).zip(there) {
        Some((source, there)) if there.starts_with(&source) => bail!(
            "{} lies inside {}, the data that are read: choose another place for what is made",
            out.display(),
            source.display()
        ),
        _ => Ok(()),
    }
}

fn rdm_config(args: &ImportRdmArgs) -> RdmConfig {
    RdmConfig {
        data: args.data.clone(),
        allow: args.allow.clone(),
    }
}

/// Imports with a bar of so many units.
fn under_bar(
    unit: &str,
    import: impl FnOnce(&mut dyn FnMut(usize, usize)) -> anyhow::Result<Imported>,
) -> anyhow::Result<Imported> {
    let bar = bar(0, unit);
    let imported = import(&mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(imported)
}

/// Says that an import of arrays is done.
fn tell_done(imported: &Imported, out: &Path) {
    remark(imported);
    println!(
        "{}: imported; look at it with `mused info {}`",
        out.display(),
        quoted(out)
    );
}

/// Notes and warnings, on stderr.
pub(super) fn remark(imported: &Imported) {
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    for warning in &imported.warnings {
        eprintln!("warning: {warning}");
    }
}

/// Says what an import of recordings found.
fn tell(imported: &Imported, recordings: &str, out: &Path) {
    remark(imported);
    for (subject, [count, trials, voxels]) in &imported.subjects {
        println!("{subject}: {count} {recordings}, {trials} trials, {voxels} voxels");
    }
    println!(
        "{}: imported, {} labels; look at it with `mused info {}`",
        out.display(),
        imported.labels.len(),
        quoted(out)
    );
}
