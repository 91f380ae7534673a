/// Dark to light at even steps of lightness, readable with any colour vision and in grey.
const SEQUENTIAL: [[u8; 3]; 9] = [
    [13, 20, 56],
    [28, 52, 96],
    [38, 87, 122],
    [56, 121, 137],
    [84, 153, 147],
    [124, 184, 155],
    [172, 212, 167],
    [218, 236, 191],
    [252, 253, 226],
];

/// The colour of a share from 0 (dark) to 1 (light).
pub(crate) fn sequential(share: f64) -> [u8; 3] {
    let place = share.clamp(0.0, 1.0) * (SEQUENTIAL.len() - 1) as f64;
    let lower = (place as usize).min(SEQUENTIAL.len() - 2);
    let weight = place - lower as f64;
    std::array::from_fn(|channel| {
        let (from, to) = (SEQUENTIAL[lower][channel], SEQUENTIAL[lower + 1][channel]);
        (f64::from(from) * (1.0 - weight) + f64::from(to) * weight).round() as u8
    })
}
