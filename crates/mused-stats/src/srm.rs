//! The deterministic shared response model (Chen et al. 2015, section 3).
//!
//! Responses Xᵢ \[voxels, stimuli\] ≈ WᵢS with orthonormal columns in each Wᵢ \[voxels, dimensions\] and one S for
//! all; here rows are stimuli, so Sᵀ is the template. The published procedure starts from random Wᵢ, this one from
//! the principal components of all subjects' voxels side by side.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::product::product;
use crate::shared_space::{
    ROUNDS, SharedSpace, SubjectMap, centred, check, check_template, first_template, mean,
    orthonormal, settled,
};
use crate::{Error, Result};

/// The shared responses of `subjects`, each \[stimuli, its voxels\] with the same stimuli in the same order, in at
/// most `most` dimensions: fewer where a subject has fewer voxels that vary, or the stimuli less one are fewer.
///
/// Minimises Σ ‖Xᵢ - WᵢS‖² by turns: Wᵢ = UVᵀ of XᵢSᵀ = UDVᵀ, S = mean of WᵢᵀXᵢ, until S is at rest or 100 rounds
/// have passed. Deterministic, on any number of threads.
///
/// # Errors
/// No subject, stimuli that differ in number, a value that is not finite, or a subject whose responses never vary.
pub fn fit(subjects: &[ArrayView2<f64>], most: usize) -> Result<SharedSpace> {
    check(subjects)?;
    let (means, rows): (Vec<_>, Vec<_>) = subjects.iter().map(|rows| centred(*rows)).unzip();
    let varying = rows.iter().map(varying).min().unwrap_or(0);
    let mut template = first_template(&rows, most.min(varying))?;
    if template.is_empty() {
        return Err(Error::NothingVaries);
    }
    let bases = |template: &Array2<f64>| -> Result<Vec<Array2<f64>>> {
        let basis = |rows: &Array2<f64>| orthonormal(product(rows.t(), template.view()).view());
        rows.par_iter().map(basis).collect()
    };
    for _ in 0..ROUNDS {
        let bases = bases(&template)?;
        let aligned = rows.iter().zip(&bases);
        let aligned: Vec<_> = aligned.map(|(x, w)| product(x.view(), w.view())).collect();
        let next = mean(&aligned, &template);
        let rest = settled(&template, &next);
        template = next;
        if rest {
            break;
        }
    }
    let own = means.into_iter().zip(bases(&template)?);
    let maps = own.map(|(mean, weights)| SubjectMap { mean, weights });
    Ok(SharedSpace {
        maps: maps.collect(),
        template,
    })
}

/// The map of one more subject, with responses `rows` \[stimuli, voxels\] to the stimuli of a template
/// \[stimuli, dimensions\].
///
/// # Errors
/// As [`fit`].
pub fn align(rows: ArrayView2<f64>, template: ArrayView2<f64>) -> Result<SubjectMap> {
    check_template(rows, template)?;
    let (mean, centred) = centred(rows);
    if varying(&centred) == 0 {
        return Err(Error::NothingVaries);
    }
    let weights = orthonormal(product(centred.t(), template).view())?;
    Ok(SubjectMap { mean, weights })
}

/// Voxels that are not 0 throughout.
fn varying(centred: &Array2<f64>) -> usize {
    let columns = centred.columns().into_iter();
    columns
        .filter(|column| column.iter().any(|&x| x != 0.0))
        .count()
}
