use crate::Dataset;

/// The place of every stimulus, from 0, in the order in which stimuli were first shown: to the first subject by session,
/// run and onset (rows where onsets are not known), then what only later subjects saw. Stimuli shown to nobody come last.
///
/// Names of stimuli and their rows in `stimuli.tsv` say nothing about time.
pub fn order_shown(dataset: &Dataset) -> Vec<usize> {
    let count = dataset.stimuli.len();
    let mut places = vec![None; count];
    let mut next = 0;
    let mut show = |stimulus: usize| {
        places[stimulus].get_or_insert_with(|| {
            next += 1;
            next - 1
        });
    };
    for subject in &dataset.subjects {
        let mut rows: Vec<usize> = (0..subject.trials.len()).collect();
        rows.sort_by(|&a, &b| {
            let (a, b) = (&subject.trials[a], &subject.trials[b]);
            let runs = (a.session, a.run).cmp(&(b.session, b.run));
            let onsets = a.onset.zip(b.onset);
            runs.then(onsets.map_or(std::cmp::Ordering::Equal, |(a, b)| a.total_cmp(&b)))
        });
        rows.into_iter()
            .for_each(|row| show(subject.trials[row].stimulus));
    }
    (0..count).for_each(&mut show);
    places.into_iter().map(Option::unwrap_or_default).collect()
}
