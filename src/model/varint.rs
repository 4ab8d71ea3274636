//! Numbers in few bytes, for lists of millions that are held in memory. What is read here was written here: an end that comes too early
//! reads as zeros.

/// Appends a number: seven bits a byte, the lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends how far `value` is from `base`: few bytes where it is near.
pub(crate) fn put_near(out: &mut Vec<u8>, value: u64, base: u64) {
    let distance = value.wrapping_sub(base) as i64;
    put(out, ((distance << 1) ^ (distance >> 63)) as u64);
}

/// Reads what was put.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// What [`put`] has put.
    pub fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 63 {
                break;
            }
        }
        value
    }

    /// A number that was put as one of 32 bits.
    pub fn small(&mut self) -> u32 {
        self.number() as u32
    }

    /// What [`put_near`] has put, with the same base.
    pub fn near(&mut self, base: u64) -> u64 {
        let coded = self.number();
        let distance = (coded >> 1) as i64 ^ -((coded & 1) as i64);
        base.wrapping_add(distance as u64)
    }

    /// The next bytes, or what there is of them.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the array has.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).first_chunk().copied().unwrap_or([0; N])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(values: Vec<(u64, u64)>) {
            let mut out = Vec::new();
            for &(value, base) in &values {
                put(&mut out, value);
                put_near(&mut out, value, base);
            }
            let mut cursor = Cursor(&out);
            for (value, base) in values {
                prop_assert_eq!((cursor.number(), cursor.near(base)), (value, value));
            }
            prop_assert!(cursor.0.is_empty());
        }
    }
}
