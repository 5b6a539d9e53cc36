//! The MPMC queue within one thread: what its calls cost when nothing has to come from another CPU.

use std::error::Error;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use crossbeam_queue::ArrayQueue;
use ipc_core::Place;
use ipc_queue::mpmc::{PopError, PushError, Queue, Receiver, Sender};

/// Messages that each queue has room for.
const CAPACITY: usize = 1024;

fn ends<T: ipc_core::Payload>(capacity: usize) -> Result<(Sender<T>, Receiver<T>), Box<dyn Error>> {
    let queue = Queue::<T>::create(Place::memfd("bench"), capacity)?;
    Ok((queue.sender()?, queue.receiver()?))
}

fn one_message(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("mpmc one message");
    group.throughput(Throughput::Elements(1));

    let (mut tx, mut rx) = ends::<u64>(CAPACITY)?;
    group.bench_function("ours push and pop", |bencher| {
        bencher.iter(|| {
            tx.push(black_box(7)).expect("there is room");
            rx.pop().expect("there is a message")
        });
    });

    let (mut tx, mut rx) = ends::<u64>(CAPACITY)?;
    group.bench_function("ours reserve, commit and take", |bencher| {
        bencher.iter(|| {
            let mut slot = tx.reserve().expect("there is room");
            *slot = black_box(7);
            slot.commit().expect("the stream is open");
            let message = rx.take().expect("it is there").expect("it has not ended");
            *message
        });
    });

    let queue = ArrayQueue::<u64>::new(CAPACITY);
    group.bench_function("crossbeam push and pop", |bencher| {
        bencher.iter(|| {
            queue.push(black_box(7)).expect("there is room");
            queue.pop().expect("there is a message")
        });
    });
    group.finish();
    Ok(())
}

/// What a look costs that finds nothing to do.
fn refusals(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("mpmc refusal");

    let (_tx, mut rx) = ends::<u64>(CAPACITY)?;
    group.bench_function("ours try_pop when empty", |bencher| {
        bencher.iter(|| assert!(matches!(rx.try_pop(), Err(PopError::Empty))));
    });

    let queue = ArrayQueue::<u64>::new(CAPACITY);
    group.bench_function("crossbeam pop when empty", |bencher| {
        bencher.iter(|| assert!(queue.pop().is_none()));
    });

    let (mut tx, _rx) = ends::<u64>(CAPACITY)?;
    while tx.try_push(7).is_ok() {}
    group.bench_function("ours try_push when full", |bencher| {
        bencher.iter(|| assert!(matches!(tx.try_push(black_box(7)), Err(PushError::Full))));
    });

    let queue = ArrayQueue::<u64>::new(CAPACITY);
    while queue.push(7).is_ok() {}
    group.bench_function("crossbeam push when full", |bencher| {
        bencher.iter(|| assert!(queue.push(black_box(7)).is_err()));
    });
    group.finish();
    Ok(())
}

fn slices(criterion: &mut Criterion, length: usize) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group(format!("mpmc slices of {length}"));
    group.throughput(Throughput::Elements(length as u64));
    let items: Vec<u64> = (0..length as u64).collect();
    let mut into = vec![0; length];

    let (mut tx, mut rx) = ends::<u64>(CAPACITY)?;
    group.bench_function("ours push_slice and pop_slice", |bencher| {
        bencher.iter(|| {
            tx.push_slice(black_box(&items)).expect("there is room");
            rx.pop_slice(black_box(&mut into)).expect("they are there")
        });
    });

    let (mut tx, mut rx) = ends::<u64>(CAPACITY)?;
    group.bench_function("ours one by one", |bencher| {
        bencher.iter(|| {
            for &item in black_box(&items) {
                tx.push(item).expect("there is room");
            }
            for place in black_box(&mut into) {
                *place = rx.pop().expect("it is there").expect("it has not ended");
            }
        });
    });

    let queue = ArrayQueue::<u64>::new(CAPACITY);
    group.bench_function("crossbeam one by one", |bencher| {
        bencher.iter(|| {
            for &item in black_box(&items) {
                queue.push(item).expect("there is room");
            }
            for place in black_box(&mut into) {
                *place = queue.pop().expect("it is there");
            }
        });
    });
    group.finish();
    Ok(())
}

/// A message of a page, made and read where it lies, against the same copied in and out.
fn in_place(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    type Page = [u64; 512];
    let mut group = criterion.benchmark_group("mpmc message of 4 KiB");
    group.throughput(Throughput::Bytes(size_of::<Page>() as u64));

    let (mut tx, mut rx) = ends::<Page>(CAPACITY)?;
    group.bench_function("ours in place", |bencher| {
        bencher.iter(|| {
            let mut page = tx.reserve().expect("there is room");
            page.fill(black_box(7));
            page.commit().expect("the stream is open");
            let page = rx.take().expect("it is there").expect("it has not ended");
            page.iter().sum::<u64>()
        });
    });

    let (mut tx, mut rx) = ends::<Page>(CAPACITY)?;
    group.bench_function("ours copied", |bencher| {
        bencher.iter(|| {
            tx.push([black_box(7); 512]).expect("there is room");
            let page = rx.pop().expect("it is there").expect("it has not ended");
            page.iter().sum::<u64>()
        });
    });

    let queue = ArrayQueue::<Page>::new(CAPACITY);
    group.bench_function("crossbeam copied", |bencher| {
        bencher.iter(|| {
            queue.push([black_box(7); 512]).expect("there is room");
            let page = queue.pop().expect("it is there");
            page.iter().sum::<u64>()
        });
    });
    group.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    one_message(&mut criterion)?;
    refusals(&mut criterion)?;
    slices(&mut criterion, 64)?;
    in_place(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
