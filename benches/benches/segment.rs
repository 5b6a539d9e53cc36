//! Making, opening and leaving a segment: what a program pays once.

use std::error::Error;

use criterion::Criterion;
use ipc_core::{Place, Segment};
use ipc_queue::spsc::Ring;

/// The segment's size in bytes.
const SIZE: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("segment of 1 MiB");

    group.bench_function("create and drop", |bencher| {
        bencher.iter(|| Segment::create(Place::memfd("bench"), SIZE).expect("there is memory"));
    });

    let segment = Segment::create(Place::memfd("bench"), SIZE)?;
    let descriptor = segment.descriptor()?;
    group.bench_function("open by descriptor and drop", |bencher| {
        bencher.iter(|| {
            let descriptor = descriptor.try_clone().expect("descriptors are left");
            Segment::open(descriptor).expect("the segment is whole")
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("spsc ring in a segment of its own");
    group.bench_function("create, take both roles and drop", |bencher| {
        bencher.iter(|| {
            let ring = Ring::<u64>::create(Place::memfd("bench"), 1024).expect("there is memory");
            let producer = ring.producer().expect("the role is free");
            let consumer = ring.consumer().expect("the role is free");
            (producer, consumer)
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}
