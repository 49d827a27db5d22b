//! Whole numbers in as few bytes as they need (unsigned LEB128, shortest form only).

/// The most bytes one number may take.
const MAX_BYTES: usize = 10;

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Takes one number off the front; `None` when the bytes end early, the number is too large, or it was not written in
/// its shortest form (one number has one spelling, so that no two files mean the same).
pub(super) fn take(input: &mut &[u8]) -> Option<u64> {
    let (mut value, mut unit) = (0u64, Some(1u64));
    for (i, &byte) in input.iter().take(MAX_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f).checked_mul(unit?)?;
        unit = unit.and_then(|u| u.checked_mul(0x80));
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return None;
            }
            *input = &input[i + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_comes_back(value: u64, tail: Vec<u8>) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            bytes.extend(&tail);
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert_eq!(rest, &tail[..]);
        }

        #[test]
        fn what_is_read_is_what_would_be_written(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            if let Some(value) = take(&mut rest) {
                let mut again = Vec::new();
                put(&mut again, value);
                prop_assert_eq!(&bytes[..bytes.len() - rest.len()], &again[..]);
            }
        }
    }
}
