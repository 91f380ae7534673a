use mused_data::Level;
use mused_run::{Orthogonality, RsaForm};

use super::facts::{Guided, Made};

/// What the tokens were drawn to, and whether they were pushed apart; nothing of models without tokens.
pub(super) fn words(made: &Made<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(guided(made));
    sentences.extend(unguided(made));
    sentences.extend(made.guidance.iter().filter_map(unknown));
    sentences.extend(apart(made));
    sentences
}

fn token(level: Level) -> &'static str {
    match level {
        Level::High => "the high-level token",
        Level::Low => "the low-level token",
    }
}

fn guided(made: &Made<'_>) -> Vec<String> {
    let tokens = made.guidance.iter().filter_map(|(level, guided)| {
        let Guided::By { features, weight } = guided else {
            return None;
        };
        let token = token(*level);
        Some(format!(
            "{token} towards the geometry of the features {features} (weight {weight})"
        ))
    });
    let tokens: Vec<String> = tokens.collect();
    if tokens.is_empty() {
        return Vec::new();
    }
    let form = match made.config.loss.rsa_form {
        RsaForm::SquaredError => "by squared difference",
        RsaForm::Centred => "by squared difference after the mean of each was taken off",
    };
    vec![format!(
        "Representational similarity analysis drew {}; dissimilarities of stimuli were compared {form}.",
        tokens.join(" and ")
    )]
}

/// Tokens that were not guided, those with the same reason together.
fn unguided(made: &Made<'_>) -> Vec<String> {
    let tokens = made
        .guidance
        .iter()
        .filter_map(|(level, guided)| match guided {
            Guided::Not { why } => Some((*level, why)),
            _ => None,
        });
    let tokens: Vec<(Level, &String)> = tokens.collect();
    if let [(_, first), (_, second)] = tokens.as_slice()
        && first == second
    {
        return vec![format!("Neither token was guided: {first}.")];
    }
    let each = tokens.into_iter().map(|(level, why)| match level {
        Level::High => format!("The high-level token was not guided: {why}."),
        Level::Low => format!("The low-level token was not guided: {why}."),
    });
    each.collect()
}

fn unknown((level, guided): &(Level, Guided)) -> Option<String> {
    let Guided::Unknown { weight } = guided else {
        return None;
    };
    Some(format!(
        "The configuration draws {} (weight {weight}) to the feature set of the dataset that names its level; whether there \
         was one is not recorded.",
        token(*level)
    ))
}

fn apart(made: &Made<'_>) -> Option<String> {
    let loss = &made.config.loss;
    let form = match loss.orthogonality_form {
        Orthogonality::F => "squared inner products over all pairs of a batch",
        Orthogonality::L1 => "absolute inner product within a sample",
        Orthogonality::L2 => "squared inner product within a sample",
        Orthogonality::Cosine => "squared cosines over all pairs of a batch",
    };
    made.orthogonality()?.then(|| {
        format!(
            "An orthogonality term (weight {}, {form}) pushed the two tokens apart.",
            loss.orthogonality
        )
    })
}
