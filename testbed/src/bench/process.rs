//! What a running process takes, by the kernel.

use crate::bench::{BenchError, as_f64};
use crate::cli::{Running, Signal};

/// Ticks of /proc/<pid>/stat in a second, on every Linux.
const TICKS: f64 = 100.0;

/// Ends an operator, which exits with 0.
pub(super) async fn end(operator: Running) -> Result<(), BenchError> {
    operator.signal(Signal::Terminate)?;
    let outcome = operator.wait().await?;
    if outcome.code == Some(0) {
        Ok(())
    } else {
        Err(BenchError::Program(outcome.to_string()))
    }
}

/// Seconds of CPU that a process has taken: fields 14 and 15 of proc_pid_stat(5), counted after the
/// name.
pub(super) fn cpu(pid: u32) -> Result<f64, BenchError> {
    let text = proc(pid, "stat")?;
    let fields = text
        .rsplit_once(") ")
        .map(|(_, fields)| fields)
        .unwrap_or_default();
    Ok(fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS)
}

/// Bytes of memory that a process has.
pub(super) fn resident(pid: u32) -> Result<u64, BenchError> {
    let text = proc(pid, "status")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    Ok(line
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or_default()
        << 10)
}

fn proc(pid: u32, file: &str) -> Result<String, BenchError> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|error| BenchError::Program(format!("operator: {error}")))
}

pub(super) fn mib(bytes: u64) -> f64 {
    as_f64(bytes) / as_f64(1 << 20)
}
