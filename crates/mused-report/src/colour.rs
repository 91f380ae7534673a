//! Colours with a meaning, told apart with any colour vision (Okabe & Ito 2008) and in grey.

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

/// Orange over near-white to blue: below, at and above zero.
const DIVERGING: [[u8; 3]; 7] = [
    [179, 70, 0],
    [222, 125, 50],
    [247, 196, 150],
    [242, 242, 240],
    [158, 202, 225],
    [64, 143, 196],
    [0, 84, 145],
];

/// Colours of things without an order; after the last they start again.
pub(crate) const CATEGORIES: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#80868b",
];

/// The colour of a share from 0 (dark) to 1 (light).
pub(crate) fn sequential(share: f64) -> [u8; 3] {
    blend(&SEQUENTIAL, share)
}

/// The colour of a value from -1 (orange) over 0 (near-white) to 1 (blue).
pub(crate) fn diverging(value: f64) -> [u8; 3] {
    blend(&DIVERGING, (value + 1.0) / 2.0)
}

/// As an attribute's value.
pub(crate) fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn blend(stops: &[[u8; 3]], share: f64) -> [u8; 3] {
    let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let lower = (place as usize).min(stops.len() - 2);
    let weight = place - lower as f64;
    std::array::from_fn(|channel| {
        let (from, to) = (stops[lower][channel], stops[lower + 1][channel]);
        (f64::from(from) * (1.0 - weight) + f64::from(to) * weight).round() as u8
    })
}
