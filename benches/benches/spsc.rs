//! The SPSC ring within one thread: what its calls cost when nothing has to come from another CPU.

use std::error::Error;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ipc_core::Place;
use ipc_queue::spsc::{Consumer, PopError, Producer, Ring};

/// Messages that each ring has room for.
const CAPACITY: usize = 1024;

fn ends<T: ipc_core::Payload>() -> Result<(Producer<T>, Consumer<T>), Box<dyn Error>> {
    let ring = Ring::<T>::create(Place::memfd("bench"), CAPACITY)?;
    Ok((ring.producer()?, ring.consumer()?))
}

fn one_message(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("spsc one message");
    group.throughput(Throughput::Elements(1));

    let (mut tx, mut rx) = ends::<u64>()?;
    group.bench_function("ours push and pop", |bencher| {
        bencher.iter(|| {
            tx.push(black_box(7)).expect("there is room");
            rx.pop().expect("there is a message")
        });
    });

    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(CAPACITY);
    group.bench_function("rtrb push and pop", |bencher| {
        bencher.iter(|| {
            tx.push(black_box(7)).expect("there is room");
            rx.pop().expect("there is a message")
        });
    });

    let (_tx, mut rx) = ends::<u64>()?;
    group.bench_function("ours try_pop when empty", |bencher| {
        bencher.iter(|| assert!(matches!(rx.try_pop(), Err(PopError::Empty))));
    });

    let (_tx, mut rx) = rtrb::RingBuffer::<u64>::new(CAPACITY);
    group.bench_function("rtrb pop when empty", |bencher| {
        bencher.iter(|| assert!(rx.pop().is_err()));
    });
    group.finish();
    Ok(())
}

fn slices(criterion: &mut Criterion, length: usize) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group(format!("spsc slices of {length}"));
    group.throughput(Throughput::Elements(length as u64));
    let items: Vec<u64> = (0..length as u64).collect();
    let mut into = vec![0; length];

    let (mut tx, mut rx) = ends::<u64>()?;
    group.bench_function("ours push_slice and pop_slice", |bencher| {
        bencher.iter(|| {
            tx.push_slice(black_box(&items)).expect("there is room");
            rx.pop_slice(black_box(&mut into)).expect("they are there")
        });
    });

    let (mut tx, mut rx) = rtrb::RingBuffer::<u64>::new(CAPACITY);
    group.bench_function("rtrb push_partial_slice and pop_partial_slice", |bencher| {
        bencher.iter(|| {
            let (_, unsent) = tx.push_partial_slice(black_box(&items));
            assert!(unsent.is_empty());
            rx.pop_partial_slice(black_box(&mut into)).0.len()
        });
    });
    group.finish();
    Ok(())
}

/// A message of a page, made and read where it lies, against the same copied in and out.
fn in_place(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    type Page = [u64; 512];
    let mut group = criterion.benchmark_group("spsc message of 4 KiB");
    group.throughput(Throughput::Bytes(size_of::<Page>() as u64));

    let (mut tx, mut rx) = ends::<Page>()?;
    group.bench_function("ours in place", |bencher| {
        bencher.iter(|| {
            let mut page = tx.reserve().expect("there is room");
            page.fill(black_box(7));
            page.commit();
            let page = rx.peek().expect("it is there").expect("it has not ended");
            let sum: u64 = page.iter().sum();
            page.release();
            sum
        });
    });

    let (mut tx, mut rx) = ends::<Page>()?;
    group.bench_function("ours copied", |bencher| {
        bencher.iter(|| {
            tx.push([black_box(7); 512]).expect("there is room");
            let page = rx.pop().expect("it is there").expect("it has not ended");
            page.iter().sum::<u64>()
        });
    });
    group.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    one_message(&mut criterion)?;
    slices(&mut criterion, 64)?;
    slices(&mut criterion, 256)?;
    in_place(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
