//! Chance that can be had again.

/// Numbers that look random and follow from their seed: xorshift64*, by Vigna.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed; zero, from which nothing would follow, is taken for one.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_fall_the_same_way_for_the_same_seed() {
        let fall = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| dice.roll(6)).collect::<Vec<_>>()
        };
        assert_eq!(fall(7), fall(7));
        assert_ne!(fall(7), fall(9));
        assert!(fall(7).iter().all(|n| *n < 6));
    }
}
