//! What is measured, in which unit, and which way is better.

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
        }
    }

    /// The figures that a measurement of this measure gives, in order.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::OneWay | Self::Slices { .. } | Self::Naive => MILLIONS,
            Self::RoundTripSpinning | Self::RoundTripParked => ROUND_TRIP,
        }
    }
}
