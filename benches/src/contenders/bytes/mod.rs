//! Who is measured with messages of bytes, and the list of who takes part in what.

mod crossbeam;
#[cfg(feature = "peers")]
mod iceoryx2;
mod memcpy;
mod ours_channel;
mod ours_mpmc;
mod ours_spsc;
mod pipe;
mod rtrb;
#[cfg(feature = "peers")]
mod shmem_ipc;
mod socket;

use crossbeam::CrossbeamBytes;
#[cfg(feature = "peers")]
use iceoryx2::Iceoryx2;
use memcpy::Memcpy;
use ours_channel::OursChannel;
use ours_mpmc::OursMpmcBytes;
use ours_spsc::{OursBytes, OursBytesInPlace};
use pipe::PipeOfBytes;
use rtrb::RtrbBytes;
#[cfg(feature = "peers")]
use shmem_ipc::ShmemIpc;
use socket::SocketOfBytes;

use crate::case::Case;
use crate::duplex::Pair;
use crate::measure::{Handover, Measure};
use crate::target::Target::AtLeast;
use crate::workloads::{Batches, Messages, Requests, Untouched};

/// All cases of messages of bytes, measure by measure.
pub(super) fn all() -> Vec<Case> {
    one_way::<64>()
        .into_iter()
        .chain(one_way::<1024>())
        .chain(one_way::<65_536>())
        .chain(there_and_back::<64>())
        .chain(there_and_back::<1024>())
        .chain(there_and_back::<65_536>())
        .chain(untouched())
        .collect()
}

/// One message at a time, and batches where that says so. The target beside the peers between processes
/// is for the best of them.
fn one_way<const LENGTH: usize>() -> Vec<Case> {
    let bytes = Measure::Bytes { length: LENGTH };
    let ahead = AtLeast(1.2);
    let limit = AtLeast(0.9);
    vec![
        Case::in_processes::<Messages<OursBytes<LENGTH>, LENGTH>>(bytes, "ours"),
        Case::in_processes::<Batches<OursBytes<LENGTH>, LENGTH>>(bytes, "ours_batches"),
        Case::in_processes::<Messages<OursBytesInPlace<LENGTH>, LENGTH>>(bytes, "ours_in_place"),
        Case::in_processes::<Messages<OursMpmcBytes<LENGTH>, LENGTH>>(bytes, "ours_mpmc"),
        Case::in_processes::<Messages<OursChannel<LENGTH>, LENGTH>>(bytes, "ours_channel"),
        Case::in_processes::<Batches<Memcpy<LENGTH>, LENGTH>>(bytes, "memcpy").target(limit),
        Case::in_threads::<Messages<RtrbBytes<LENGTH>, LENGTH>>(bytes, "rtrb"),
        Case::in_threads::<Messages<CrossbeamBytes<LENGTH>, LENGTH>>(bytes, "crossbeam"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Messages<ShmemIpc<LENGTH>, LENGTH>>(bytes, "shmem_ipc").target(ahead),
        #[cfg(feature = "peers")]
        Case::in_processes::<Messages<Iceoryx2<LENGTH>, LENGTH>>(bytes, "iceoryx2").target(ahead),
        Case::in_processes::<Messages<PipeOfBytes<LENGTH>, LENGTH>>(bytes, "pipe").target(ahead),
        Case::in_processes::<Messages<SocketOfBytes<LENGTH>, LENGTH>>(bytes, "socket")
            .target(ahead),
    ]
}

/// A request and its reply.
fn there_and_back<const LENGTH: usize>() -> Vec<Case> {
    let trips = Measure::BytesRoundTrip { length: LENGTH };
    vec![
        Case::in_processes::<Requests<OursChannel<LENGTH>, LENGTH>>(trips, "ours_channel"),
        Case::in_processes::<Requests<Pair<OursBytes<LENGTH>>, LENGTH>>(trips, "ours_spsc"),
        Case::in_processes::<Requests<Pair<OursMpmcBytes<LENGTH>>, LENGTH>>(trips, "ours_mpmc"),
        Case::in_threads::<Requests<Pair<RtrbBytes<LENGTH>>, LENGTH>>(trips, "rtrb"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Requests<Pair<ShmemIpc<LENGTH>>, LENGTH>>(trips, "shmem_ipc"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Requests<Pair<Iceoryx2<LENGTH>>, LENGTH>>(trips, "iceoryx2"),
        Case::in_processes::<Requests<Pair<PipeOfBytes<LENGTH>>, LENGTH>>(trips, "pipe"),
        Case::in_processes::<Requests<SocketOfBytes<LENGTH>, LENGTH>>(trips, "socket"),
    ]
}

/// 64 KiB against 64 bytes, when nobody touches them: 1.5 times as long at most.
fn untouched() -> Vec<Case> {
    let target = AtLeast(1.0 / 1.5);
    let (spsc, mpmc) = (
        Measure::BytesUntouched(Handover::Spsc),
        Measure::BytesUntouched(Handover::Mpmc),
    );
    vec![
        Case::in_processes::<Untouched<OursBytes<65_536>, 65_536>>(spsc, "ours_64_KiB"),
        Case::in_processes::<Untouched<OursBytes<64>, 64>>(spsc, "ours_64_B").target(target),
        #[cfg(feature = "peers")]
        Case::in_processes::<Untouched<Iceoryx2<65_536>, 65_536>>(spsc, "iceoryx2_64_KiB"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Untouched<Iceoryx2<64>, 64>>(spsc, "iceoryx2_64_B"),
        Case::in_processes::<Untouched<OursMpmcBytes<65_536>, 65_536>>(mpmc, "ours_64_KiB"),
        Case::in_processes::<Untouched<OursMpmcBytes<64>, 64>>(mpmc, "ours_64_B").target(target),
    ]
}
