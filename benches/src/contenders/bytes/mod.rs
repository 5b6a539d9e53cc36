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

/// All cases of messages of bytes, measure by measure. Every bounded queue has room for as many
/// messages, so that none profits from a larger buffer; together they are no more than half of a core's
/// second cache, as what is measured is the way from core to core.
pub(super) fn all() -> Vec<Case> {
    one_way::<64, 1024>()
        .into_iter()
        .chain(one_way::<1024, 256>())
        .chain(one_way::<65_536, 8>())
        .chain(there_and_back::<64, 1024>())
        .chain(there_and_back::<1024, 256>())
        .chain(there_and_back::<65_536, 8>())
        .chain(untouched::<64>())
        .collect()
}

/// One message at a time, and batches where that says so. The target beside the peers between processes
/// is for the best of them.
fn one_way<const LENGTH: usize, const ROOM: usize>() -> Vec<Case> {
    let bytes = Measure::Bytes {
        length: LENGTH,
        room: ROOM,
    };
    let ahead = AtLeast(1.2);
    let limit = AtLeast(0.9);
    vec![
        Case::in_processes::<Messages<OursBytes<LENGTH, ROOM>, LENGTH>>(bytes, "ours"),
        Case::in_processes::<Batches<OursBytes<LENGTH, ROOM>, LENGTH, ROOM>>(bytes, "ours_batches"),
        Case::in_processes::<Messages<OursBytesInPlace<LENGTH, ROOM>, LENGTH>>(
            bytes,
            "ours_in_place",
        ),
        Case::in_processes::<Messages<OursMpmcBytes<LENGTH, ROOM>, LENGTH>>(bytes, "ours_mpmc"),
        Case::in_processes::<Messages<OursChannel<LENGTH, ROOM>, LENGTH>>(bytes, "ours_channel"),
        Case::in_processes::<Batches<Memcpy<LENGTH, ROOM>, LENGTH, ROOM>>(bytes, "memcpy")
            .target(limit),
        Case::in_threads::<Messages<RtrbBytes<LENGTH, ROOM>, LENGTH>>(bytes, "rtrb"),
        Case::in_threads::<Messages<CrossbeamBytes<LENGTH, ROOM>, LENGTH>>(bytes, "crossbeam"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Messages<ShmemIpc<LENGTH, ROOM>, LENGTH>>(bytes, "shmem_ipc")
            .target(ahead),
        #[cfg(feature = "peers")]
        Case::in_processes::<Messages<Iceoryx2<LENGTH, ROOM>, LENGTH>>(bytes, "iceoryx2")
            .target(ahead),
        Case::in_processes::<Messages<PipeOfBytes<LENGTH, ROOM>, LENGTH>>(bytes, "pipe")
            .target(ahead),
        Case::in_processes::<Messages<SocketOfBytes<LENGTH, ROOM>, LENGTH>>(bytes, "socket")
            .target(ahead),
    ]
}

/// A request and its reply.
fn there_and_back<const LENGTH: usize, const ROOM: usize>() -> Vec<Case> {
    let trips = Measure::BytesRoundTrip { length: LENGTH };
    vec![
        Case::in_processes::<Requests<OursChannel<LENGTH, ROOM>, LENGTH>>(trips, "ours_channel"),
        Case::in_processes::<Requests<Pair<OursBytes<LENGTH, ROOM>>, LENGTH>>(trips, "ours_spsc"),
        Case::in_processes::<Requests<Pair<OursMpmcBytes<LENGTH, ROOM>>, LENGTH>>(
            trips,
            "ours_mpmc",
        ),
        Case::in_threads::<Requests<Pair<RtrbBytes<LENGTH, ROOM>>, LENGTH>>(trips, "rtrb"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Requests<Pair<ShmemIpc<LENGTH, ROOM>>, LENGTH>>(trips, "shmem_ipc"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Requests<Pair<Iceoryx2<LENGTH, ROOM>>, LENGTH>>(trips, "iceoryx2"),
        Case::in_processes::<Requests<Pair<PipeOfBytes<LENGTH, ROOM>>, LENGTH>>(trips, "pipe"),
        Case::in_processes::<Requests<SocketOfBytes<LENGTH, ROOM>, LENGTH>>(trips, "socket"),
    ]
}

/// 64 KiB against 64 bytes, when nobody touches them: 1.5 times as long at most.
fn untouched<const ROOM: usize>() -> Vec<Case> {
    const LONG: usize = 65_536;
    let target = AtLeast(1.0 / 1.5);
    let (spsc, mpmc) = (
        Measure::BytesUntouched(Handover::Spsc),
        Measure::BytesUntouched(Handover::Mpmc),
    );
    vec![
        Case::in_processes::<Untouched<OursBytes<LONG, ROOM>, LONG>>(spsc, "ours_64_KiB"),
        Case::in_processes::<Untouched<OursBytes<64, ROOM>, 64>>(spsc, "ours_64_B").target(target),
        #[cfg(feature = "peers")]
        Case::in_processes::<Untouched<Iceoryx2<LONG, ROOM>, LONG>>(spsc, "iceoryx2_64_KiB"),
        #[cfg(feature = "peers")]
        Case::in_processes::<Untouched<Iceoryx2<64, ROOM>, 64>>(spsc, "iceoryx2_64_B"),
        Case::in_processes::<Untouched<OursMpmcBytes<LONG, ROOM>, LONG>>(mpmc, "ours_64_KiB"),
        Case::in_processes::<Untouched<OursMpmcBytes<64, ROOM>, 64>>(mpmc, "ours_64_B")
            .target(target),
    ]
}
