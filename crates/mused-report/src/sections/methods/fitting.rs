use mused_run::{Family, Optimizer, Precision, Regions, Schedule, TrainConfig};

use super::facts::{Division, Guided, Made};

/// How weights came about and which were kept.
pub(super) fn words(made: &Made<'_>, division: Option<&Division>) -> Vec<String> {
    let family = &made.config.model.family;
    if family.by_steps() {
        return by_steps(made);
    }
    let mut sentences = Vec::new();
    if !matches!(family, Family::Prevalence(_)) {
        let chosen = match made.regions() {
            Regions::Together => "One penalty for all labels was",
            Regions::Averaged | Regions::Stacked => "One penalty a regression, for all labels, was",
            Regions::Banded => "The weights of regions and one penalty for all labels were",
        };
        let how = match made.penalty_by_error {
            true => "six parts of them (least squared error)",
            false => "four parts of them (highest macro average precision)",
        };
        sentences.push(format!(
            "{chosen} chosen inside the training stimuli, by cross-validation between up to {how}; predictions were \
             clipped to 0 and 1."
        ));
    }
    if division.is_some_and(Division::validates) {
        sentences.push("Validation stimuli were not used.".to_owned());
    }
    sentences
}

fn by_steps(made: &Made<'_>) -> Vec<String> {
    let train = &made.config.train;
    let mut sentences = vec![trained(made)];
    let factors = train.rate_factors.iter();
    sentences.extend(factors.map(|(name, factor)| {
        format!(
            "Learning rates of parameters with {name} in their name were multiplied by {factor}."
        )
    }));
    if train.gradient_clip > 0.0 {
        sentences.push(format!(
            "Gradients were clipped to norm {}.",
            train.gradient_clip
        ));
    }
    if train.ema_decay > 0.0 {
        sentences.push(format!(
            "Evaluated weights are an exponential moving average (decay {} a step).",
            train.ema_decay
        ));
    }
    if train.ensemble > 1 {
        sentences.push(format!(
            "Each model is {} such networks with initial weights of their own, whose logits were averaged.",
            train.ensemble
        ));
    }
    let kept = match made.chosen_by_validation {
        true => {
            "Of each model the weights of the epoch with the highest macro average precision on the validation stimuli \
             were kept."
        }
        false => "The weights of the last epoch were kept.",
    };
    sentences.push(kept.to_owned());
    sentences
}

fn trained(made: &Made<'_>) -> String {
    let train = &made.config.train;
    let guided = |(_, guided): &(_, Guided)| matches!(guided, Guided::By { .. });
    let terms = made.guidance.iter().any(guided) || made.orthogonality() == Some(true);
    format!(
        "Weights were trained on binary cross-entropy{} with {} for {} epochs in batches of {}{}, learning rate {} ({}), \
         weight decay {}, seed {}{}.",
        if terms { " and the terms above" } else { "" },
        match train.optimizer {
            Optimizer::Adam => "Adam",
            Optimizer::AdamW => "AdamW",
        },
        train.epochs,
        train.batch_size,
        match made.config.model.family.separate() {
            true => "",
            false => " (subjects mixed)",
        },
        train.learning_rate,
        course(train),
        train.weight_decay,
        train.seed,
        match train.precision {
            Precision::Single => "",
            Precision::Bf16 => {
                "; linear layers, but for the queries, keys and values of the last block, multiplied bfloat16 and summed \
                 in single precision"
            }
        },
    )
}

/// Of the learning rate.
fn course(train: &TrainConfig) -> String {
    let warmed = |word: &str| match train.warmup > 0.0 {
        true => format!("{word}linear warm-up over {} of the steps", train.warmup),
        false => String::new(),
    };
    match train.schedule {
        Schedule::Constant => format!("constant{}", warmed(" after ")),
        Schedule::Cosine => format!("half a cosine to 0{}", warmed(" after ")),
        Schedule::OneCycle => format!("one cycle, rising over {} of the steps", train.warmup),
        Schedule::Step => format!(
            "times {} every {} epochs{}",
            train.step_factor,
            train.step_epochs,
            warmed(" after ")
        ),
    }
}
