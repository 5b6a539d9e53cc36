//! Everyone who is measured, one file each, and the list of who takes part in what.

mod bytes;
mod cache_line;
pub mod crossbeam;
mod futex;
mod naive;
pub mod ours_mpmc;
mod ours_spsc;
mod pipe;
mod rtrb;
#[cfg(feature = "peers")]
mod shaq;
mod stopped;
pub(crate) mod sync;

use cache_line::CacheLine;
use crossbeam::CrossbeamArrayQueue;
use futex::Futex;
use naive::{AppendFile, JsonFile, Naive};
use ours_mpmc::{OursMpmc, OursMpmcBusy};
use ours_spsc::{Adaptive, Busy, OursSpsc, Park};
use pipe::Pipe;
use rtrb::{ByChunk, BySlice, Rtrb};
#[cfg(feature = "peers")]
use shaq::ShaqMpmc;
use stopped::{AtWork, HoldsMessage, HoldsSlot};

use crate::case::Case;
use crate::measure::Placement::{self, Bound, Free};
use crate::measure::{Measure, Shape};
use crate::polled::Polled;
use crate::spin::{Pauses, Snooze};
use crate::target::Target::{AtLeast, AtMost};
use crate::traffic::{InSlices, Singly};
use crate::workloads::{OneWay, RoundTrip, Slices};

type Crossbeam<const PAUSES: u32> = Polled<CrossbeamArrayQueue, Pauses<PAUSES>>;

const SLICES_8: Measure = Measure::Slices { length: 8 };
const SLICES_64: Measure = Measure::Slices { length: 64 };
const SLICES_256: Measure = Measure::Slices { length: 256 };

/// All cases of a run, measure by measure. The first of a measure is the one whose ratio to each
/// of the others is reported.
pub fn all() -> Vec<Case> {
    use Measure::{
        Naive as NAIVE, OneWay as ONE_WAY, RoundTripParked as PARKED, RoundTripSpinning as SPINNING,
    };
    vec![
        Case::in_processes::<OneWay<OursSpsc<Busy>>>(ONE_WAY, "ours"),
        Case::in_processes::<OneWay<OursSpsc<Adaptive>>>(ONE_WAY, "ours_adaptive"),
        Case::in_threads::<OneWay<Rtrb<1>>>(ONE_WAY, "rtrb"),
        Case::in_threads::<OneWay<Crossbeam<256>>>(ONE_WAY, "crossbeam"),
        Case::in_processes::<OneWay<Pipe>>(ONE_WAY, "pipe"),
        Case::in_processes::<Slices<OursSpsc<Busy>, 8>>(SLICES_8, "ours"),
        Case::in_threads::<Slices<Rtrb<1>, 8>>(SLICES_8, "rtrb"),
        Case::in_processes::<Slices<OursSpsc<Busy>, 64>>(SLICES_64, "ours"),
        Case::in_threads::<Slices<Rtrb<16>, 64>>(SLICES_64, "rtrb"),
        Case::in_processes::<Slices<OursSpsc<Busy>, 256>>(SLICES_256, "ours"),
        Case::in_threads::<Slices<Rtrb<1>, 256>>(SLICES_256, "rtrb"),
        Case::in_processes::<RoundTrip<OursSpsc<Busy>>>(SPINNING, "ours"),
        Case::in_processes::<RoundTrip<OursSpsc<Adaptive>>>(SPINNING, "ours_adaptive"),
        Case::in_processes::<RoundTrip<CacheLine<1>>>(SPINNING, "cache_line"),
        Case::in_threads::<RoundTrip<Rtrb<1>>>(SPINNING, "rtrb"),
        Case::in_processes::<RoundTrip<OursSpsc<Park>>>(PARKED, "ours"),
        Case::in_processes::<RoundTrip<Futex>>(PARKED, "futex"),
        Case::in_processes::<RoundTrip<Pipe>>(PARKED, "pipe"),
        Case::in_processes::<OneWay<OursSpsc<Adaptive>>>(NAIVE, "ours_adaptive"),
        Case::in_processes::<OneWay<Naive<JsonFile>>>(NAIVE, "json_file"),
        Case::in_processes::<OneWay<Naive<AppendFile>>>(NAIVE, "append_file"),
    ]
    .into_iter()
    .chain(many_of_shape::<1, 1>(Bound))
    .chain(many_of_shape::<2, 2>(Bound))
    .chain(many_of_shape::<4, 4>(Bound))
    .chain(many_of_shape::<2, 2>(Free))
    .chain(many_of_shape::<4, 4>(Free))
    .chain(many_slices_of_shape::<1, 1>())
    .chain(many_slices_of_shape::<2, 2>())
    .chain(many_there_and_back())
    .chain(many_with_one_stopped())
    .chain(bytes::all())
    .chain(sync::all())
    .collect()
}

/// Queues for many: one item at a time, all waiting in the same way.
fn many_of_shape<const SENDERS: usize, const RECEIVERS: usize>(placement: Placement) -> Vec<Case> {
    type Each<C> = Singly<Polled<C, Snooze>>;
    let many = Measure::Many {
        shape: shape::<SENDERS, RECEIVERS>(),
        placement,
    };
    vec![
        Case::in_process_crew::<Each<OursMpmc>, SENDERS, RECEIVERS>(many, "ours"),
        Case::in_process_crew::<Singly<OursMpmc>, SENDERS, RECEIVERS>(many, "ours_blocking"),
        Case::in_thread_crew::<Each<CrossbeamArrayQueue>, SENDERS, RECEIVERS>(many, "crossbeam")
            .target(AtLeast(1.0)),
        #[cfg(feature = "peers")]
        Case::in_process_crew::<Each<ShaqMpmc>, SENDERS, RECEIVERS>(many, "shaq")
            .target(AtLeast(1.5)),
    ]
}

/// Ours in slices against ours one at a time.
fn many_slices_of_shape<const SENDERS: usize, const RECEIVERS: usize>() -> Vec<Case> {
    type Ours = Polled<OursMpmc, Snooze>;
    let slices = Measure::ManySlices {
        length: 64,
        shape: shape::<SENDERS, RECEIVERS>(),
    };
    vec![
        Case::in_process_crew::<InSlices<Ours, 64>, SENDERS, RECEIVERS>(slices, "ours"),
        Case::in_process_crew::<Singly<Ours>, SENDERS, RECEIVERS>(slices, "ours_one_by_one")
            .target(AtLeast(5.0)),
    ]
}

fn many_there_and_back() -> Vec<Case> {
    type Trips<C> = RoundTrip<Polled<C, Pauses<1>>>;
    let trips = Measure::ManyRoundTrip;
    vec![
        Case::in_processes::<Trips<OursMpmc>>(trips, "ours"),
        Case::in_processes::<RoundTrip<OursMpmcBusy>>(trips, "ours_busy"),
        Case::in_processes::<RoundTrip<CacheLine<1>>>(trips, "cache_line").target(AtMost(1.3)),
        Case::in_threads::<Trips<CrossbeamArrayQueue>>(trips, "crossbeam"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Trips<ShaqMpmc>>(trips, "shaq"),
    ]
}

/// Ours with somebody stopped in the middle of something against ours undisturbed: 0.8 of it at
/// least.
fn many_with_one_stopped() -> Vec<Case> {
    type Ours = Singly<Polled<OursMpmc, Snooze>>;
    let stopped = Measure::ManyStopped;
    let target = AtMost(1.25);
    vec![
        Case::in_process_crew::<Ours, 2, 2>(stopped, "ours_undisturbed"),
        Case::beside::<Ours, HoldsSlot, 2, 2>(stopped, "ours_slot_held").target(target),
        Case::beside::<Ours, HoldsMessage, 2, 2>(stopped, "ours_message_held").target(target),
        Case::beside::<Ours, AtWork, 2, 2>(stopped, "ours_sender_stopped").target(target),
    ]
}

const fn shape<const SENDERS: usize, const RECEIVERS: usize>() -> Shape {
    Shape {
        senders: SENDERS,
        receivers: RECEIVERS,
    }
}

/// The other ways to use a contender that were tried; [`all`] has the best of each. Run them with
/// `--alternatives` to see whether that still holds on another machine.
pub fn alternatives() -> Vec<Case> {
    use Measure::{OneWay as ONE_WAY, RoundTripSpinning as SPINNING};
    vec![
        Case::in_threads::<OneWay<Rtrb<0>>>(ONE_WAY, "rtrb_pause_0"),
        Case::in_threads::<OneWay<Rtrb<1>>>(ONE_WAY, "rtrb_pause_1"),
        Case::in_threads::<OneWay<Rtrb<16>>>(ONE_WAY, "rtrb_pause_16"),
        Case::in_threads::<OneWay<Rtrb<64>>>(ONE_WAY, "rtrb_pause_64"),
        Case::in_threads::<OneWay<Crossbeam<0>>>(ONE_WAY, "crossbeam_pause_0"),
        Case::in_threads::<OneWay<Crossbeam<1>>>(ONE_WAY, "crossbeam_pause_1"),
        Case::in_threads::<OneWay<Crossbeam<16>>>(ONE_WAY, "crossbeam_pause_16"),
        Case::in_threads::<OneWay<Crossbeam<64>>>(ONE_WAY, "crossbeam_pause_64"),
        Case::in_threads::<OneWay<Crossbeam<256>>>(ONE_WAY, "crossbeam_pause_256"),
        Case::in_threads::<Slices<Rtrb<1, BySlice>, 8>>(SLICES_8, "rtrb_slice_pause_1"),
        Case::in_threads::<Slices<Rtrb<16, BySlice>, 8>>(SLICES_8, "rtrb_slice_pause_16"),
        Case::in_threads::<Slices<Rtrb<64, BySlice>, 8>>(SLICES_8, "rtrb_slice_pause_64"),
        Case::in_threads::<Slices<Rtrb<1, ByChunk>, 8>>(SLICES_8, "rtrb_chunk_pause_1"),
        Case::in_threads::<Slices<Rtrb<1, BySlice>, 64>>(SLICES_64, "rtrb_slice_pause_1"),
        Case::in_threads::<Slices<Rtrb<16, BySlice>, 64>>(SLICES_64, "rtrb_slice_pause_16"),
        Case::in_threads::<Slices<Rtrb<64, BySlice>, 64>>(SLICES_64, "rtrb_slice_pause_64"),
        Case::in_threads::<Slices<Rtrb<1, ByChunk>, 64>>(SLICES_64, "rtrb_chunk_pause_1"),
        Case::in_threads::<Slices<Rtrb<1, BySlice>, 256>>(SLICES_256, "rtrb_slice_pause_1"),
        Case::in_threads::<Slices<Rtrb<16, BySlice>, 256>>(SLICES_256, "rtrb_slice_pause_16"),
        Case::in_threads::<Slices<Rtrb<64, BySlice>, 256>>(SLICES_256, "rtrb_slice_pause_64"),
        Case::in_threads::<Slices<Rtrb<1, ByChunk>, 256>>(SLICES_256, "rtrb_chunk_pause_1"),
        Case::in_processes::<RoundTrip<CacheLine<0>>>(SPINNING, "cache_line_pause_0"),
        Case::in_processes::<RoundTrip<CacheLine<1>>>(SPINNING, "cache_line_pause_1"),
        Case::in_processes::<RoundTrip<CacheLine<16>>>(SPINNING, "cache_line_pause_16"),
        Case::in_threads::<RoundTrip<Rtrb<0>>>(SPINNING, "rtrb_pause_0"),
        Case::in_threads::<RoundTrip<Rtrb<1>>>(SPINNING, "rtrb_pause_1"),
        Case::in_threads::<RoundTrip<Rtrb<16>>>(SPINNING, "rtrb_pause_16"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_contender_is_in_a_measure_twice() {
        for cases in [all(), alternatives()] {
            let mut names: Vec<_> = cases
                .iter()
                .map(|case| (case.measure.key(), case.contender))
                .collect();
            names.sort();
            let listed = names.len();
            names.dedup();
            assert_eq!(names.len(), listed);
        }
    }
}
