//! Which CPUs the two peers run on.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::failure::Failure;

/// Binds the calling thread to one CPU, for good.
///
/// # Errors
/// [`Failure::System`] if this process may not use that CPU.
pub fn pin(cpu: usize) -> Result<(), Failure> {
    confine(&[cpu])
}

/// Binds the calling thread to some CPUs, between which the system may move it.
///
/// # Errors
/// [`Failure::System`] if this process may use none of them.
pub fn confine(cpus: &[usize]) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    for &cpu in cpus {
        only.set(cpu)
            .map_err(Failure::errno("name a CPU to run on"))?;
    }
    sched_setaffinity(Pid::from_raw(0), &only).map_err(Failure::errno("bind a peer to its CPUs"))
}

/// The CPUs that this process may use, in ascending order.
///
/// # Errors
/// [`Failure::System`] if the system does not say.
pub fn allowed() -> Result<Vec<usize>, Failure> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(Failure::errno("ask for the CPUs"))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}
