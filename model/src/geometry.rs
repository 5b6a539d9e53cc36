//! Positions, laps and slots as the queue has them, in eight bits: a position is the lap above the
//! slot's index, and all are compared by their signed distance, so that they may go round.

use crate::world::World;

impl World {
    fn index_bits(&self) -> u32 {
        self.slots.next_power_of_two().trailing_zeros()
    }

    /// The slot of a position.
    pub(crate) fn slot(&self, position: u8) -> usize {
        usize::from(position & ((1 << self.index_bits()) - 1))
    }

    /// The lap of a position.
    pub(crate) fn lap(&self, position: u8) -> u8 {
        position >> self.index_bits()
    }

    /// The position of a slot's lap.
    pub(crate) fn position(&self, lap: u8, slot: usize) -> u8 {
        lap << self.index_bits() | slot as u8
    }

    /// The lap before or after.
    pub(crate) fn lap_plus(&self, lap: u8, laps: i8) -> u8 {
        lap.wrapping_add_signed(laps) & (u8::MAX >> self.index_bits())
    }

    /// How many laps `lap` lies after `base`; negative if before.
    pub(crate) fn ahead(&self, lap: u8, base: u8) -> i8 {
        let spare = self.index_bits();
        (lap.wrapping_sub(base) << spare).cast_signed() >> spare
    }

    /// The position of the same slot some laps later.
    pub(crate) fn plus_laps(&self, position: u8, laps: i8) -> u8 {
        self.position(self.lap_plus(self.lap(position), laps), self.slot(position))
    }

    pub(crate) fn next(&self, position: u8) -> u8 {
        if self.slot(position) + 1 == usize::from(self.slots) {
            self.position(self.lap_plus(self.lap(position), 1), 0)
        } else {
            position + 1
        }
    }

    pub(crate) fn previous(&self, position: u8) -> u8 {
        match self.slot(position) {
            0 => {
                let lap = self.lap_plus(self.lap(position), -1);
                self.position(lap, usize::from(self.slots) - 1)
            }
            _ => position - 1,
        }
    }

    /// The position so many before this one.
    pub(crate) fn before(&self, position: u8, by: u8) -> u8 {
        (0..by).fold(position, |there, _| self.previous(there))
    }

    /// The position so many after this one.
    pub(crate) fn behind(&self, position: u8, by: u8) -> u8 {
        (0..by).fold(position, |there, _| self.next(there))
    }

    /// Whether `a` lies after `b` in the stream.
    pub(crate) fn is_after(&self, a: u8, b: u8) -> bool {
        a.wrapping_sub(b).cast_signed() > 0
    }
}
