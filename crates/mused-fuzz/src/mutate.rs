//! Damage to good files, the same for the same numbers.

/// No input grows beyond this.
const LONGEST: usize = 1 << 18;

/// Whole numbers at which sizes and counts go wrong.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    7,
    0x7f,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// The same as text.
const TEXTS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "2",
    "65536",
    "16777217",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999999",
    "1e18",
    "1e309",
    "-1e-320",
    "NaN",
    "inf",
];

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `most`, which is 1 at least.
    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A part of so many bytes; short ones more often.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let longest = match self.below(4) {
            0 => length - start,
            _ => 64.min(length - start),
        };
        start..start + self.below(longest + 1)
    }
}

/// One of the seeds with one to six damages: number `index` of those that `seed` stands for.
pub fn mutated(seeds: &[Vec<u8>], seed: u64, index: u64) -> Vec<u8> {
    let mut random = Random(seed);
    random.0 = random.next() ^ index.wrapping_mul(0xd134_2543_de82_ef95);
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) + random.below(4) {
        damage(&mut bytes, seeds, &mut random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.next() as u8);
        return;
    }
    let at = random.below(bytes.len());
    match random.below(12) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(random.part(bytes.len()))),
        4 => {
            let part = bytes[random.part(bytes.len())].to_vec();
            let most = LONGEST / part.len().max(1);
            let times = random.of(&[1, 2, 8, 1000]).min(most);
            bytes.splice(at..at, part.repeat(times));
        }
        5 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        6 => {
            let part = bytes[random.part(bytes.len())].to_vec();
            let end = (at + part.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&part[..end - at]);
        }
        7..=9 => {
            let number = match random.below(3) {
                0 => random.of(&NUMBERS).wrapping_sub(1),
                _ => random.of(&NUMBERS),
            };
            let width = random.of(&[1, 2, 4, 8]);
            // Most fields stand at multiples of their size.
            let at = if random.below(2) == 0 {
                at
            } else {
                at / width * width
            };
            let mut field = number.to_le_bytes()[..width].to_vec();
            if random.below(2) == 0 {
                field.reverse();
            }
            let end = (at + width).min(bytes.len());
            bytes[at..end].copy_from_slice(&field[..end - at]);
        }
        _ => number_as_text(bytes, at, random),
    }
}

/// Puts another number in the place of the first one behind `at`.
fn number_as_text(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[at..].iter().position(digit).map(|from| at + from) else {
        return;
    };
    let length = bytes[start..].iter().take_while(|byte| digit(byte)).count();
    bytes.splice(start..start + length, random.of(&TEXTS).bytes());
}
