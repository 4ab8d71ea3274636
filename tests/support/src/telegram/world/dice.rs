//! Numbers that look random and follow from what they are asked for, so that nothing generated has to be kept.

/// The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): every bit of the input moves every bit of the output.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of such numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The sequence that belongs to these parts.
    pub(crate) fn new(parts: &[u64]) -> Self {
        Self(parts.iter().fold(0x7467_7661_756c_7400, |state, part| mix(state ^ part)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // Multiplication instead of a remainder: cheaper, and as even as these uses need.
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// True in `permille` of 1000 cases.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}
