//! How a state is stored: a list of fields, walked the same way to write and to read.

/// Takes fields one after the other, to write or to read them.
pub trait Fields {
    fn byte(&mut self, value: &mut u8);
    fn long(&mut self, value: &mut i64);
    fn moment(&mut self, value: &mut u32);
    fn number(&mut self, value: &mut f32);
    /// A number from 0 to 64, kept to a thousandth.
    fn small(&mut self, value: &mut f32);

    fn flag(&mut self, value: &mut bool) {
        let mut byte = u8::from(*value);
        self.byte(&mut byte);
        *value = byte != 0;
    }

    fn moments(&mut self, values: &mut [&mut u32]) {
        for value in values {
            self.moment(value);
        }
    }

    fn numbers(&mut self, values: &mut [&mut f32]) {
        for value in values {
            self.number(value);
        }
    }
}

/// Steps a unit of what [`Fields::small`] keeps.
const SMALL_STEPS: f32 = 1000.0;

/// Writes what is not zero, and a bit for each field that says which those are: most of a healthy plugin's are zero.
#[derive(Default)]
pub struct Writer {
    bits: Vec<u8>,
    fields: usize,
    data: Vec<u8>,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        if self.fields.is_multiple_of(8) {
            self.bits.push(0);
        }
        if bytes.iter().any(|byte| *byte != 0) {
            if let Some(last) = self.bits.last_mut() {
                *last |= 1 << (self.fields % 8);
            }
            self.data.extend(bytes);
        }
        self.fields += 1;
    }
}

impl Fields for Writer {
    fn byte(&mut self, value: &mut u8) {
        self.put(&[*value]);
    }

    fn long(&mut self, value: &mut i64) {
        self.put(&value.to_le_bytes());
    }

    fn moment(&mut self, value: &mut u32) {
        self.put(&value.to_le_bytes());
    }

    fn number(&mut self, value: &mut f32) {
        self.put(&value.to_le_bytes());
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range"
    )]
    fn small(&mut self, value: &mut f32) {
        let steps = (*value * SMALL_STEPS).round().clamp(0.0, f32::from(u16::MAX)) as u16;
        self.put(&steps.to_le_bytes());
    }
}

/// Reads what [`Writer`] wrote; anything else makes it bad, and gives zeros.
pub struct Reader<'a> {
    bits: &'a [u8],
    fields: usize,
    data: &'a [u8],
    good: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bit = self.bits.get(self.fields / 8).map(|byte| byte >> (self.fields % 8) & 1);
        self.fields += 1;
        match (bit, self.data.split_first_chunk::<N>()) {
            (Some(1), Some((taken, rest))) => {
                self.data = rest;
                return *taken;
            }
            (Some(0), _) => {}
            _ => self.good = false,
        }
        [0; N]
    }

    /// Whether everything was there and nothing is left.
    pub fn is_whole(&self) -> bool {
        self.good && self.data.is_empty() && self.bits.len() == self.fields.div_ceil(8)
    }
}

impl Fields for Reader<'_> {
    fn byte(&mut self, value: &mut u8) {
        let [byte] = self.take();
        *value = byte;
    }

    fn long(&mut self, value: &mut i64) {
        *value = i64::from_le_bytes(self.take());
    }

    fn moment(&mut self, value: &mut u32) {
        *value = u32::from_le_bytes(self.take());
    }

    fn number(&mut self, value: &mut f32) {
        *value = f32::from_le_bytes(self.take());
        self.good &= value.is_finite();
    }

    fn small(&mut self, value: &mut f32) {
        *value = f32::from(u16::from_le_bytes(self.take())) / SMALL_STEPS;
    }
}

impl Writer {
    /// What was written: how many bytes of bits, the bits, the fields.
    pub fn finish(self, into: &mut Vec<u8>) {
        into.push(u8::try_from(self.bits.len()).unwrap_or(u8::MAX));
        into.extend(self.bits);
        into.extend(self.data);
    }
}

impl<'a> Reader<'a> {
    /// Begins to read.
    pub fn new(bytes: &'a [u8]) -> Self {
        let parts = bytes
            .split_first()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
        let (bits, data) = parts.unwrap_or_default();
        Self {
            bits,
            fields: 0,
            data,
            good: parts.is_some(),
        }
    }
}
