//! Messages that show whether they are whole.

/// Who sent it, which one of his it is, and enough more to be torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Message {
    pub seat: u32,
    /// How many had the seat before.
    pub generation: u32,
    pub number: u64,
    filling: [u64; 5],
}

impl Message {
    pub fn new(seat: u32, generation: u32, number: u64) -> Self {
        let seed = u64::from(seat) << 40 ^ u64::from(generation) << 20 ^ number;
        Self {
            seat,
            generation,
            number,
            filling: std::array::from_fn(|i| {
                (seed + i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            }),
        }
    }

    /// Whether all of it belongs together.
    pub fn is_whole(&self) -> bool {
        *self == Self::new(self.seat, self.generation, self.number)
    }
}
