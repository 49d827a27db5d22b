//! Serial numbers.

use rcgen::SerialNumber;

/// A serial number from 16 random bytes: positive and without a leading zero (RFC 5280 section 4.1.2.2).
pub fn from_random(mut random: [u8; 16]) -> SerialNumber {
    random[0] = (random[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&random)
}

/// As text, hexadecimal.
pub fn text(serial: &SerialNumber) -> String {
    hex::encode(serial.to_bytes())
}
