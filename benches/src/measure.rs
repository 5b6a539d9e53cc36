//! What is measured, in which unit, and which way is better.

use std::fmt;

/// One measure: contenders are compared within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// 8-byte items from one peer to another, one at a time.
    OneWay,
    /// The same, many items at a time.
    Slices {
        /// Items handed over at once.
        length: usize,
    },
    /// An item there and back, both peers spinning while they wait.
    RoundTripSpinning,
    /// An item there and back, both peers asleep at once when they wait.
    RoundTripParked,
    /// 8-byte messages through the naive ways.
    Naive,
    /// 8-byte items from several senders to several receivers, one at a time.
    Many {
        /// How many of each.
        shape: Shape,
        /// Where they run.
        placement: Placement,
    },
    /// The same, many items at a time.
    ManySlices {
        /// Items handed over at once.
        length: usize,
        /// How many senders and receivers.
        shape: Shape,
    },
    /// An item there and back through queues for many, both peers spinning while they wait.
    ManyRoundTrip,
    /// 8-byte items from two senders to two receivers, with somebody else stopped.
    ManyStopped,
    /// Messages of bytes from one peer to another.
    Bytes {
        /// How long each is.
        length: usize,
        /// For how many there is room.
        room: usize,
    },
    /// A message of bytes there and one back, both peers spinning while they wait.
    BytesRoundTrip {
        /// How long each is.
        length: usize,
    },
    /// Messages of bytes handed over in place, which nobody writes or reads.
    BytesUntouched(Handover),
    /// Taken and given back, with nobody contending.
    Uncontended(Taken),
    /// One number under a lock, incremented by several.
    Counter {
        /// How many.
        contenders: usize,
        /// Where they run.
        placement: Placement,
    },
    /// An event set there and one back, both peers asleep at once when they wait.
    EventParked,
}

/// By what bytes are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// Rings for one producer and one consumer.
    Spsc,
    /// Queues for many, with one of each.
    Mpmc,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A lock for one.
    Mutex,
    /// A permit of a semaphore.
    Semaphore,
    /// A lock for readers and writers, to read.
    Read,
    /// The same, to write.
    Write,
}

impl Taken {
    fn key(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::Semaphore => "semaphore",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Mutex => "A mutex",
            Self::Semaphore => "A permit of a semaphore",
            Self::Read => "A lock for readers and writers, to read,",
            Self::Write => "A lock for readers and writers, to write,",
        }
    }
}

/// Where a crew runs. With more peers than CPUs this decides a lot: bound to one CPU, the one that
/// waits and the one that it waits for may have to take turns for every item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each is bound to one of the two CPUs, as many to the one as to the other.
    Bound,
    /// The system moves them between the two.
    Free,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "each bound to a CPU",
            Self::Free => "moved between the CPUs by the system",
        })
    }
}

/// How many send and how many receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Senders.
    pub senders: usize,
    /// Receivers.
    pub receivers: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.senders, self.receivers)
    }
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// A rate.
    Higher,
    /// A time.
    Lower,
}

/// One figure of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Metric {
    /// Its name within the measure.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way it is better.
    pub better: Better,
}

const MILLIONS: &[Metric] = &[Metric {
    name: "rate",
    unit: "M items/s",
    better: Better::Higher,
}];

const INCREMENTS: &[Metric] = &[Metric {
    name: "rate",
    unit: "M adds/s",
    better: Better::Higher,
}];

const PASS: &[Metric] = &[Metric {
    name: "each",
    unit: "ns",
    better: Better::Lower,
}];

const ROUND_TRIP: &[Metric] = &[
    Metric {
        name: "p50",
        unit: "ns",
        better: Better::Lower,
    },
    Metric {
        name: "p99",
        unit: "ns",
        better: Better::Lower,
    },
];

impl Measure {
    /// A short name, for the command line and the report.
    pub fn key(self) -> String {
        match self {
            Self::OneWay => "one_way".into(),
            Self::Slices { length } => format!("slices_{length}"),
            Self::RoundTripSpinning => "round_trip_spinning".into(),
            Self::RoundTripParked => "round_trip_parked".into(),
            Self::Naive => "naive".into(),
            Self::Many { shape, placement } => match placement {
                Placement::Bound => format!("mpmc_one_way_{shape}"),
                Placement::Free => format!("mpmc_one_way_{shape}_free"),
            },
            Self::ManySlices { length, shape } => format!("mpmc_slices_{length}_{shape}"),
            Self::ManyRoundTrip => "mpmc_round_trip".into(),
            Self::ManyStopped => "mpmc_stopped".into(),
            Self::Bytes { length, .. } => format!("bytes_{length}"),
            Self::BytesRoundTrip { length } => format!("bytes_round_trip_{length}"),
            Self::BytesUntouched(Handover::Spsc) => "bytes_untouched_spsc".into(),
            Self::BytesUntouched(Handover::Mpmc) => "bytes_untouched_mpmc".into(),
            Self::Uncontended(taken) => format!("sync_{}", taken.key()),
            Self::Counter {
                contenders,
                placement,
            } => match placement {
                Placement::Bound => format!("sync_counter_{contenders}_bound"),
                Placement::Free => format!("sync_counter_{contenders}"),
            },
            Self::EventParked => "sync_event".into(),
        }
    }

    /// What is measured, in a line.
    pub fn title(self) -> String {
        match self {
            Self::OneWay => "One way, 8-byte items one at a time, room for 1024".into(),
            Self::Slices { length } => {
                format!("One way, slices of {length} 8-byte items, room for 1024")
            }
            Self::RoundTripSpinning => "Round trip of an 8-byte item, waiting by spinning".into(),
            Self::RoundTripParked => "Round trip of an 8-byte item, parked at once".into(),
            Self::Naive => "One way, 8-byte messages, the naive ways".into(),
            Self::Many { shape, placement } => {
                format!(
                    "Many to many ({shape} senders x receivers), {placement}, 8-byte items one at \
                     a time, room for 1024"
                )
            }
            Self::ManySlices { length, shape } => {
                format!("Many to many ({shape}), slices of {length} 8-byte items, room for 1024")
            }
            Self::ManyRoundTrip => {
                "Round trip of an 8-byte item through two queues for many, waiting by spinning"
                    .into()
            }
            Self::ManyStopped => {
                "Many to many (2x2), 8-byte items, with one more participant that is stopped".into()
            }
            Self::Bytes { length, room } => {
                format!(
                    "One way, messages of {length} bytes from private memory to private memory, room \
                     for {room}"
                )
            }
            Self::BytesRoundTrip { length } => {
                format!("A request of {length} bytes and its reply, waiting by spinning")
            }
            Self::BytesUntouched(Handover::Spsc) => {
                "Messages of bytes handed over in place, which nobody touches".into()
            }
            Self::BytesUntouched(Handover::Mpmc) => {
                "The same through queues for many, one sender and one receiver".into()
            }
            Self::Uncontended(taken) => {
                format!(
                    "{} taken and given back, uncontended: the median of short stretches",
                    taken.title()
                )
            }
            Self::Counter {
                contenders,
                placement,
            } => {
                format!("One number incremented under a lock by {contenders}, {placement}")
            }
            Self::EventParked => "An event set there and one back, parked at once".into(),
        }
    }

    /// Where the peers run.
    pub fn placement(self) -> Placement {
        match self {
            Self::Many { placement, .. } | Self::Counter { placement, .. } => placement,
            _ => Placement::Bound,
        }
    }

    /// The figures that a measurement of this measure gives, in order.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::OneWay
            | Self::Slices { .. }
            | Self::Naive
            | Self::Many { .. }
            | Self::ManySlices { .. }
            | Self::ManyStopped
            | Self::Bytes { .. }
            | Self::BytesUntouched(_) => MILLIONS,
            Self::RoundTripSpinning
            | Self::RoundTripParked
            | Self::ManyRoundTrip
            | Self::BytesRoundTrip { .. }
            | Self::EventParked => ROUND_TRIP,
            Self::Uncontended(_) => PASS,
            Self::Counter { .. } => INCREMENTS,
        }
    }
}
