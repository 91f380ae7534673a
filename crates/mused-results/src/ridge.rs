//! A network against the ridge regression beside it.

use mused_run::{AgainstRidge, RidgeBeside, Run, Stated};
use mused_stats::metrics::Undefined;

use crate::{Result, over_subjects, scores_by_subject, verdict};

/// How a network stands to the ridge regression beside it, or why that is not known; `None` of what is no network.
pub(crate) fn against_ridge(run: &Run, undefined: Undefined) -> Option<Stated<AgainstRidge>> {
    let found = run.ridge()?.and_then(|ridge| {
        let stands = stands(run, &ridge, undefined);
        stands.map_err(|error| error.to_string())
    });
    Some(match found {
        Ok(against) => Stated::Value(against),
        Err(why) => Stated::because(&why),
    })
}

fn stands(run: &Run, ridge: &RidgeBeside, undefined: Undefined) -> Result<AgainstRidge> {
    let scores = scores_by_subject(&ridge.run.predictions()?, undefined)?;
    let [ridge_run, run] = [&ridge.run, run].map(std::slice::from_ref);
    Ok(AgainstRidge {
        subjects: ridge.subjects,
        average_precision: over_subjects(&scores, &|s| s.macro_average_precision).mean,
        roc_auc: over_subjects(&scores, &|s| s.macro_roc_auc).mean,
        verdict: verdict(ridge_run, run)?,
    })
}
