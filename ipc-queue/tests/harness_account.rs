//! Every message is accounted for, whatever its size and however small the ring; parameters go in,
//! results come out, progress is shown.

mod harness_common;

use harness_common::worker::role_before_run;
use harness_common::{PATIENCE, promptly};
use ipc_core::Payload;
use ipc_queue::harness::{Harness, HarnessError, Params, Progress, Report, test_name};
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

/// A value that differs in every byte from that of the next number.
fn message<T: Payload>(number: u64) -> T {
    let mut message: T = bytemuck::Zeroable::zeroed();
    let bytes: Vec<u8> = (0..size_of::<T>() as u64)
        .map(|i| number.wrapping_mul(31).wrapping_add(i) as u8)
        .collect();
    // Through a copy, as `T` need not let its bytes be borrowed mutably.
    if !bytes.is_empty() {
        message = bytemuck::pod_read_unaligned(&bytes);
    }
    message
}

/// Sends `count` messages, checks contents and order, and gives the report.
fn exchange<T: Payload>(test: &str, capacity: usize, count: u64) -> Result<Report, HarnessError> {
    let run = Harness::<T>::new(format!("exchange {}", std::any::type_name::<T>()))
        .under_test(test)
        .capacity(capacity)
        .params(count.to_ne_bytes())
        .producers(1, |source| {
            let count = u64::from_ne_bytes(source.params()[..].try_into()?);
            for number in 0..count {
                source.send(message(number))?;
            }
            Ok(())
        })
        .consumers(1, |sink| {
            let mut number = 0;
            while let Some(got) = sink.receive()? {
                let sent: T = message(number);
                assert!(
                    bytemuck::bytes_of(&got) == bytemuck::bytes_of(&sent),
                    "message {number} came with other contents, or in another order"
                );
                number += 1;
            }
            // The end is no accident: it is there the next time too.
            assert!(sink.receive()?.is_none());
            sink.set_result(&number.to_ne_bytes())?;
            Ok(())
        });
    promptly(PATIENCE, || run.run())
}

fn assert_exact(report: &Report, count: u64) {
    assert_eq!(
        report.messages.to_string(),
        format!("sent {count}, received {count}, lost 0, doubled 0, torn 0")
    );
    assert!(report.messages.is_exact());
    assert_eq!(report.consumers[0].result, count.to_ne_bytes());
    assert!(report.workers().all(|worker| worker.is_success()));
    assert_eq!((report.producers.len(), report.consumers.len()), (1, 1));
}

#[test]
fn a_million_small_messages() {
    let count = 1_000_000;
    let report = exchange::<u64>(test_name!(), 4096, count).unwrap();
    assert_exact(&report, count);
    assert_eq!(report.producers[0].name, "producer-0");
    assert_eq!(report.consumers[0].name, "consumer-0");
    assert_ne!(report.producers[0].pid, report.consumers[0].pid);
    assert!(
        report
            .workers()
            .all(|worker| worker.pid != std::process::id())
    );
    assert!(report.elapsed > Duration::ZERO);
}

#[test]
fn messages_of_64_kib() {
    let count = 300;
    assert_exact(
        &exchange::<[u8; 65536]>(test_name!(), 8, count).unwrap(),
        count,
    );
}

#[test]
fn a_ring_for_a_single_message() {
    let count = 5_000;
    assert_exact(&exchange::<u64>(test_name!(), 1, count).unwrap(), count);
}

#[test]
fn a_ring_that_never_fills() {
    let count = 1_000;
    assert_exact(
        &exchange::<u32>(test_name!(), 1 << 18, count).unwrap(),
        count,
    );
}

#[test]
fn no_message_at_all() {
    assert_exact(&exchange::<u64>(test_name!(), 16, 0).unwrap(), 0);
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Aligned([u64; 8]);

/// One test for each, as a worker runs the first harness that it meets.
macro_rules! odd_sizes {
    ($($name:ident: $type:ty,)*) => {$(
        #[test]
        fn $name() {
            let count = 3_000;
            assert_exact(&exchange::<$type>(test_name!(), 7, count).unwrap(), count);
        }
    )*};
}

odd_sizes! {
    of_no_bytes: [u8; 0],
    of_1_byte: u8,
    of_3_bytes: [u8; 3],
    of_7_bytes: [u8; 7],
    of_13_bytes: [u8; 13],
    of_18_bytes: [u16; 9],
    of_257_bytes: [u8; 257],
    aligned_to_a_line: Aligned,
}

#[test]
fn parameters_and_results_of_100_mib() {
    const SIZE: usize = 100 << 20;
    let params = Params::from_writer("huge", |file| {
        file.write_all(b"first")?;
        file.seek(SeekFrom::Start(SIZE as u64 - 4))?;
        file.write_all(b"last")
    })
    .unwrap();
    let report = Harness::<u8>::new("huge")
        .under_test(test_name!())
        .params(&params)
        .producers(1, |source| {
            let params = source.params();
            source.set_result(&[&params[..5], &params[SIZE - 4..]].concat())?;
            Ok(())
        })
        .consumers(1, |sink| {
            while sink.receive()?.is_some() {}
            let params = sink.params();
            sink.set_result(b"replaced")?;
            sink.set_result(&params)?;
            Ok(())
        })
        .run()
        .unwrap();
    assert_eq!(report.producers[0].result, b"firstlast");
    assert!(report.consumers[0].result == params[..]);
}

#[test]
fn parameters_are_the_parents_not_the_workers() {
    let mine = std::process::id();
    let report = Harness::<u8>::new("whose")
        .under_test(test_name!())
        // Differs in each process.
        .params(mine.to_string())
        .producers(1, |source| {
            assert_ne!(
                source.params()[..],
                *std::process::id().to_string().as_bytes()
            );
            assert_eq!(source.name(), "producer-0");
            // This test and no other.
            assert!(std::env::args().any(|argument| argument == test_name!()));
            let params = source.params();
            Ok(source.set_result(&params)?)
        })
        .consumers(1, |sink| {
            assert_eq!(sink.name(), "consumer-0");
            while sink.receive()?.is_some() {}
            let params = sink.params();
            Ok(sink.set_result(&params)?)
        })
        .run()
        .unwrap();
    for worker in report.workers() {
        assert_eq!(worker.result, mine.to_string().as_bytes());
    }
}

#[test]
fn without_parameters_they_are_empty() {
    Harness::<u8>::new("none")
        .under_test(test_name!())
        .producers(1, |source| match source.params().len() {
            0 => Ok(()),
            len => Err(format!("{len} bytes").into()),
        })
        .consumers(1, |sink| {
            while sink.receive()?.is_some() {}
            match sink.params().len() {
                0 => Ok(()),
                len => Err(format!("{len} bytes").into()),
            }
        })
        .run()
        .unwrap();
}

#[test]
fn progress_only_grows_and_ends_at_the_totals() {
    const COUNT: u64 = 40;
    let mut seen: Vec<Progress> = Vec::new();
    let report = Harness::<u64>::new("progress")
        .under_test(test_name!())
        .capacity(2)
        .on_progress(|progress| seen.push(*progress))
        .producers(1, |source| {
            for number in 0..COUNT {
                source.send(number)?;
            }
            Ok(())
        })
        .consumers(1, |sink| {
            while sink.receive()?.is_some() {
                // A run of four ticks at least.
                std::thread::sleep(Duration::from_millis(11));
            }
            Ok(())
        })
        .run()
        .unwrap();
    let between = seen.iter().filter(|p| 0 < p.received && p.received < COUNT);
    assert!(between.count() >= 2, "{seen:?}");
    // Ten a second, and one for each event.
    let most = report.elapsed.as_millis() as usize / 100 + 5;
    assert!(seen.len() <= most, "{seen:?}");
    for pair in seen.windows(2) {
        assert!(pair[0].sent <= pair[1].sent, "{pair:?}");
        assert!(pair[0].received <= pair[1].received, "{pair:?}");
        assert!(pair[0].elapsed <= pair[1].elapsed, "{pair:?}");
    }
    let last = seen.last().unwrap();
    assert_eq!((last.sent, last.received), (COUNT, COUNT));
    assert_eq!(report.messages.sent, COUNT);
}

/// On one clock for all processes.
fn now() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .unwrap()
        .into()
}

/// Nobody begins before all are ready, and only then does the time begin to count.
#[test]
fn all_begin_together() {
    const LATE: Duration = Duration::from_millis(150);
    for role in ["producer", "consumer"] {
        // The parent says who is late: the one whose name is in the variable that workers inherit.
        let late = std::env::var("HARNESS_TEST_LATE").ok();
        let mut ready = Duration::ZERO;
        if role_before_run().is_some() && role_before_run() == late.as_deref() {
            std::thread::sleep(LATE);
            ready = now();
        }
        let times = |begun: Duration| {
            [ready, begun]
                .map(|time| time.as_nanos() as u64)
                .map(u64::to_ne_bytes)
                .concat()
        };
        let harness = Harness::<u8>::new("together")
            .under_test(test_name!())
            .producers(1, |source| Ok(source.set_result(&times(now()))?))
            .consumers(1, |sink| Ok(sink.set_result(&times(now()))?));
        // SAFETY: other tests of this program neither set nor, in C code, read the environment.
        unsafe { std::env::set_var("HARNESS_TEST_LATE", role) };
        let since = now();
        let report = promptly(PATIENCE, || harness.run()).unwrap();
        let in_all = now() - since;
        let times: Vec<_> = (report.workers())
            .flat_map(|worker| worker.result.chunks(8))
            .map(|time| u64::from_ne_bytes(time.try_into().unwrap()))
            .collect();
        let [ready_1, begun_1, ready_2, begun_2] = times[..] else {
            panic!("{times:?}")
        };
        let all_ready = ready_1.max(ready_2);
        assert!(all_ready > 0, "nobody was late");
        assert!(begun_1 > all_ready && begun_2 > all_ready, "{times:?}");
        assert!(report.elapsed <= in_all - LATE, "{:?}", report.elapsed);
    }
}
