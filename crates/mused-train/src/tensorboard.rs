//! TensorBoard event files: TFRecord framing around `Event` protocol buffers, of which only
//! scalar summaries are needed. Oracle: the `tensorboard` package (see `bench/`).

/// One scalar at one step.
pub(crate) struct Scalar<'a> {
    pub(crate) tag: &'a str,
    pub(crate) value: f32,
}

/// The record every event file starts with.
pub(crate) fn file_header(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_bytes(&mut event, 3, b"brain.Event:2");
    record(&event)
}

/// The record of the scalars of a step.
pub(crate) fn scalars(wall_time: f64, step: u64, scalars: &[Scalar<'_>]) -> Vec<u8> {
    let mut summary = Vec::new();
    for scalar in scalars {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, scalar.tag.as_bytes());
        // simple_value, field 2, 32-bit.
        put_varint(&mut value, 2 << 3 | 5);
        value.extend(scalar.value.to_le_bytes());
        put_bytes(&mut summary, 1, &value);
    }
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_varint(&mut event, 2 << 3);
    put_varint(&mut event, step);
    put_bytes(&mut event, 5, &summary);
    record(&event)
}

/// Length, masked checksum of the length, data, masked checksum of the data.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(data.len() + 16);
    framed.extend(length);
    framed.extend(masked_crc32c(&length).to_le_bytes());
    framed.extend(data);
    framed.extend(masked_crc32c(data).to_le_bytes());
    framed
}

fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

fn put_double(buffer: &mut Vec<u8>, field: u64, value: f64) {
    put_varint(buffer, field << 3 | 1);
    buffer.extend(value.to_le_bytes());
}

fn put_bytes(buffer: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(buffer, field << 3 | 2);
    put_varint(buffer, bytes.len() as u64);
    buffer.extend(bytes);
}

fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C (Castagnoli, reflected). Event records are short; a bit at a time is enough.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (crc & 1).wrapping_neg() & 0x82F6_3B78;
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_matches_the_standard_check_value() {
        // CRC-32C of "123456789" (RFC 3720, appendix B.4 family of check values).
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
