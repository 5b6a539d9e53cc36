//! Everyone who is measured, one file each, and the list of who takes part in what.

mod cache_line;
mod crossbeam;
mod futex;
mod naive;
mod ours_spsc;
mod pipe;
mod rtrb;

use cache_line::CacheLine;
use crossbeam::CrossbeamArrayQueue;
use futex::Futex;
use naive::{AppendFile, JsonFile, Naive};
use ours_spsc::{Adaptive, Busy, OursSpsc, Park};
use pipe::Pipe;
use rtrb::{ByChunk, BySlice, Rtrb};

use crate::case::Case;
use crate::measure::Measure;
use crate::workloads::{OneWay, RoundTrip, Slices};

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
        Case::in_threads::<OneWay<CrossbeamArrayQueue<256>>>(ONE_WAY, "crossbeam"),
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
        Case::in_threads::<OneWay<CrossbeamArrayQueue<0>>>(ONE_WAY, "crossbeam_pause_0"),
        Case::in_threads::<OneWay<CrossbeamArrayQueue<1>>>(ONE_WAY, "crossbeam_pause_1"),
        Case::in_threads::<OneWay<CrossbeamArrayQueue<16>>>(ONE_WAY, "crossbeam_pause_16"),
        Case::in_threads::<OneWay<CrossbeamArrayQueue<64>>>(ONE_WAY, "crossbeam_pause_64"),
        Case::in_threads::<OneWay<CrossbeamArrayQueue<256>>>(ONE_WAY, "crossbeam_pause_256"),
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
