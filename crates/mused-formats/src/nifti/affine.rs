use crate::{Error, Result};

/// From voxel indices (i, j, k, 1) to millimetres (x, y, z, 1): row by row.
pub type Affine = [[f64; 4]; 4];

/// The rotation of a qform: quaternion (b, c, d), and whether the third axis is mirrored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qform {
    pub(super) quaternion: [f64; 3],
    pub(super) qfac: f64,
    pub(super) offset: [f64; 3],
}

impl Qform {
    /// Method 2 of `nifti1.h`. `tolerance` is how far below 0 the square of the quaternion's real part may be rounded.
    pub(super) fn affine(&self, zooms: [f64; 3], tolerance: f64) -> Result<Affine> {
        let [b, c, d] = self.quaternion;
        let square = 1. - (b * b + c * c + d * d);
        let a = if square.abs() < tolerance {
            0.
        } else {
            square.sqrt()
        };
        if a.is_nan() {
            let found = format!("({b}, {c}, {d})");
            let place = "header field quatern_b, c, d";
            return Err(Error::malformed(
                place,
                "a quaternion of length at most 1",
                found,
            ));
        }
        let norm = a * a + b * b + c * c + d * d;
        let s = 2. / norm;
        let rotation = [
            [
                1. - s * (c * c + d * d),
                s * (b * c - d * a),
                s * (b * d + c * a),
            ],
            [
                s * (b * c + d * a),
                1. - s * (b * b + d * d),
                s * (c * d - b * a),
            ],
            [
                s * (b * d - c * a),
                s * (c * d + b * a),
                1. - s * (b * b + c * c),
            ],
        ];
        let [x, y, z] = zooms;
        let scale = [x, y, z * self.qfac];
        let row = |[i, j, k]: [f64; 3], offset| [i * scale[0], j * scale[1], k * scale[2], offset];
        let [first, second, third] = rotation;
        let [ox, oy, oz] = self.offset;
        Ok([
            row(first, ox),
            row(second, oy),
            row(third, oz),
            [0., 0., 0., 1.],
        ])
    }

    /// The qform that says the same as an affine; `None` for one with shears or without volume.
    pub(super) fn representing(affine: &Affine) -> Option<Self> {
        let zooms = zooms_of(affine);
        let [first, second, third, _] = affine;
        let scaled = |row: &[f64; 4]| [row[0] / zooms[0], row[1] / zooms[1], row[2] / zooms[2]];
        let mut r = [scaled(first), scaled(second), scaled(third)];
        // f32 holds the header's numbers: columns may be that far from orthogonal.
        let dot = |i: usize, j: usize| r.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let orthogonal = [(0, 1), (0, 2), (1, 2)]
            .iter()
            .all(|&(i, j)| dot(i, j).abs() < 1e-5);
        if !orthogonal || !zooms.iter().all(|zoom| zoom.is_normal()) {
            return None;
        }
        let determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1])
            - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
            + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
        let qfac = determinant.signum();
        for row in &mut r {
            row[2] *= qfac;
        }
        // Each component squared, times 4; the largest is the one that is safe to divide by.
        let squares = [
            1. + r[0][0] + r[1][1] + r[2][2],
            1. + r[0][0] - r[1][1] - r[2][2],
            1. - r[0][0] + r[1][1] - r[2][2],
            1. - r[0][0] - r[1][1] + r[2][2],
        ];
        let largest = (0..4).fold(
            0,
            |best, i| if squares[i] > squares[best] { i } else { best },
        );
        let double = squares[largest].sqrt();
        let halved = |sum: f64| sum / (2. * double);
        let wd = |i: usize, j: usize| halved(r[i][j] - r[j][i]);
        let wp = |i: usize, j: usize| halved(r[i][j] + r[j][i]);
        let [a, b, c, d] = match largest {
            0 => [double / 2., wd(2, 1), wd(0, 2), wd(1, 0)],
            1 => [wd(2, 1), double / 2., wp(0, 1), wp(0, 2)],
            2 => [wd(0, 2), wp(0, 1), double / 2., wp(1, 2)],
            _ => [wd(1, 0), wp(0, 2), wp(1, 2), double / 2.],
        };
        // The real part is stored as being positive.
        let sign = if a < 0. { -1. } else { 1. };
        Some(Self {
            quaternion: [b * sign, c * sign, d * sign],
            qfac,
            offset: [first[3], second[3], third[3]],
        })
    }
}

/// Lengths of a voxel's edges in mm.
pub(super) fn zooms_of(affine: &Affine) -> [f64; 3] {
    let [first, second, third, _] = affine;
    std::array::from_fn(|axis| {
        [first, second, third]
            .iter()
            .map(|row| row[axis] * row[axis])
            .sum::<f64>()
            .sqrt()
    })
}

/// What nibabel takes where the header has neither form: the middle of the volume at 0, x from right to left.
pub(super) fn centred(shape: &[usize], zooms: [f64; 3]) -> Affine {
    let [x, y, z] = zooms;
    let steps = [-x, y, z];
    let mut affine = [[0.; 4]; 4];
    affine[3][3] = 1.;
    for (axis, step) in steps.into_iter().enumerate() {
        let length = shape.get(axis).copied().unwrap_or(1);
        affine[axis][axis] = step;
        affine[axis][3] = -((length as f64 - 1.) / 2.) * step;
    }
    affine
}
