//! On what the figures were taken.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

/// The machine and its state at the start.
#[derive(Debug, serde::Serialize)]
pub struct Machine {
    /// The model of the CPU.
    pub cpu: String,
    /// How many CPUs this process may use.
    pub cpus_allowed: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The load averages over 1, 5 and 15 minutes: above 0 something else was running.
    pub load: String,
    /// What reading the clock costs, in ns; it is part of every round trip.
    pub clock_read_ns: f64,
}

impl Machine {
    /// Asks the system; what it does not say is "unknown".
    pub fn look(cpus_allowed: usize) -> Self {
        Self {
            cpu: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|text| cpu_model(&text))
                .unwrap_or_else(unknown),
            cpus_allowed,
            kernel: first_line("/proc/sys/kernel/osrelease"),
            load: first_line("/proc/loadavg"),
            clock_read_ns: clock_read_ns(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    })
}

fn clock_read_ns() -> f64 {
    const READS: u32 = 100_000;
    let start = Instant::now();
    for _ in 0..READS {
        black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / f64::from(READS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_among_the_other_lines() {
        let text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU @ 3.0\n";
        assert_eq!(cpu_model(text).as_deref(), Some("Some CPU @ 3.0"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }
}
