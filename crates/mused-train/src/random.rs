use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; each gets its own.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Weights,
    Order,
    Dropout,
    Draw,
    Subjects,
}

/// Seed of the `index`-th stream of a task and purpose (splitmix64's finaliser), so that any step
/// can be repeated without the ones before it.
pub(crate) fn stream(seed: u64, task: usize, purpose: Purpose, index: usize) -> u64 {
    let mut mixed = seed;
    for part in [task as u64, purpose as u64, index as u64] {
        mixed = mixed.wrapping_add(part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}

/// The numbers below `count` in an order that a seed and the number of a draw give: a draw of subjects.
pub fn drawn_order(seed: u64, draw: u32, count: usize) -> Vec<usize> {
    let seed = stream(seed, draw as usize, Purpose::Subjects, 0);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}
