//! Hyperalignment by orthogonal Procrustes rotations (Haxby et al. 2011; Gower 1975).
//!
//! Subjects have voxels of their own, so each subject's responses become scores of its first principal components,
//! and these are rotated to a common template. The published procedure starts from one subject and pads voxels;
//! here the start is made of all subjects, so that their order does not matter, and rotations are small.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::pca::Pca;
use crate::product::product;
use crate::shared_space::{
    ROUNDS, SharedSpace, SubjectMap, centred, check, check_template, first_template, mean,
    orthonormal, settled,
};
use crate::{Error, Result};

/// Aligns `subjects`, each \[stimuli, its voxels\] with the same stimuli in the same order, in at most `most`
/// dimensions: fewer where some subject's responses span fewer.
///
/// Alternates between each subject's best rotation to the template and the template as the mean of the rotated
/// subjects, until it is at rest or 100 rounds have passed. Deterministic, on any number of threads.
///
/// # Errors
/// No subject, stimuli that differ in number, a value that is not finite, or a subject whose responses never vary.
pub fn fit(subjects: &[ArrayView2<f64>], most: usize) -> Result<SharedSpace> {
    check(subjects)?;
    let reduced = subjects.iter().map(|rows| Pca::fit(*rows, most));
    let reduced: Vec<Pca> = reduced.collect::<Result<_>>()?;
    let rows: Vec<Array2<f64>> = subjects.iter().map(|rows| centred(*rows).1).collect();
    let mut template = first_template(&rows, most)?;
    let spanned = reduced.iter().map(|pca| pca.components.nrows()).min();
    let dimensions = spanned.unwrap_or(0).min(template.ncols());
    if dimensions == 0 {
        return Err(Error::NothingVaries);
    }
    template = template.slice_move(ndarray::s![.., ..dimensions]);
    let components = |pca: &Pca| {
        pca.components
            .slice(ndarray::s![..dimensions, ..])
            .t()
            .to_owned()
    };
    let components: Vec<Array2<f64>> = reduced.iter().map(components).collect();
    let own = components.iter().zip(&rows);
    let scores: Vec<Array2<f64>> = own
        .map(|(c, rows)| product(rows.view(), c.view()))
        .collect();
    let rotations = |template: &Array2<f64>| -> Result<Vec<Array2<f64>>> {
        let rotation =
            |scores: &Array2<f64>| orthonormal(product(scores.t(), template.view()).view());
        scores.par_iter().map(rotation).collect()
    };
    for _ in 0..ROUNDS {
        let rotations = rotations(&template)?;
        let aligned = scores.iter().zip(&rotations);
        let aligned: Vec<_> = aligned.map(|(s, r)| product(s.view(), r.view())).collect();
        let next = mean(&aligned, &template);
        let rest = settled(&template, &next);
        template = next;
        if rest {
            break;
        }
    }
    let own = reduced
        .into_iter()
        .zip(&components)
        .zip(rotations(&template)?);
    let maps = own.map(|((pca, components), rotation)| SubjectMap {
        mean: pca.mean,
        weights: product(components.view(), rotation.view()),
    });
    Ok(SharedSpace {
        maps: maps.collect(),
        template,
    })
}

/// The map of one more subject, with responses `rows` \[stimuli, voxels\] to the stimuli of a template
/// \[stimuli, dimensions\]. Where its responses span fewer dimensions, it reaches only a part of the space.
///
/// # Errors
/// As [`fit`].
pub fn align(rows: ArrayView2<f64>, template: ArrayView2<f64>) -> Result<SubjectMap> {
    check_template(rows, template)?;
    let pca = Pca::fit(rows, template.ncols())?;
    if pca.components.is_empty() {
        return Err(Error::NothingVaries);
    }
    let scores = product(centred(rows).1.view(), pca.components.t());
    // Rows of the rotation are orthonormal where the subject has fewer dimensions than the template.
    let rotation = orthonormal(product(scores.t(), template).view())?;
    Ok(SubjectMap {
        mean: pca.mean,
        weights: product(pca.components.t(), rotation.view()),
    })
}
