//! What every program shows of itself: its version, and what its process uses, under the names that
//! Prometheus' own client libraries use ("Process metrics", Prometheus docs).

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

/// The kernel shows times in these, whatever its own clock (USER_HZ, "proc_pid_stat(5)").
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    program: &'static str,
    version: &'static str,
}

/// A registry that has the version of a program and the figures of its process.
pub fn registry(program: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::default();
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { program, version }).set(1);
    registry.register(
        "s3bundler_build_info",
        "Always 1: the labels have the program and its version",
        build,
    );
    registry.register_collector(Box::new(ThisProcess));
    registry
}

/// Reads the figures of this process from `/proc` with every scrape. Systems without it have none.
#[derive(Debug)]
struct ThisProcess;

/// What a process uses; `None` where the system does not show it.
#[derive(Debug, Default, PartialEq)]
struct Usage {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    started: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

impl Usage {
    fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            // One of them is that of the folder itself.
            open_fds: open_fds
                .and_then(|fds| u32::try_from(fds.saturating_sub(1)).ok())
                .map(f64::from),
            ..Self::parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
                &text("/proc/stat"),
            )
        }
    }

    /// Of the files of `/proc`.
    fn parse(stat: &str, status: &str, limits: &str, boot: &str) -> Self {
        // The second field is the program's name, which may have spaces and parentheses.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        // The first of these is the third of the file.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let line = |text: &str, start: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
            rest.split_whitespace().next()?.parse::<f64>().ok()
        };
        Self {
            cpu_seconds: ticks(14)
                .zip(ticks(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: line(status, "VmRSS:").map(|kib| kib * 1024.0),
            started: line(boot, "btime ")
                .zip(ticks(22))
                .map(|(boot, ticks)| boot + ticks / TICKS_PER_SECOND),
            open_fds: None,
            max_fds: line(limits, "Max open files"),
        }
    }
}

impl Collector for ThisProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let usage = Usage::read();
        if let Some(seconds) = usage.cpu_seconds {
            let cpu = ConstCounter::new(seconds);
            cpu.encode(encoder.encode_descriptor(
                "process_cpu",
                "CPU time that the process has used",
                Some(&Unit::Seconds),
                cpu.metric_type(),
            )?)?;
        }
        for (name, help, unit, value) in [
            (
                "process_resident_memory",
                "Memory of the process that is in RAM",
                Some(Unit::Bytes),
                usage.resident_bytes,
            ),
            (
                "process_start_time",
                "When the process started, since 1970",
                Some(Unit::Seconds),
                usage.started,
            ),
            (
                "process_open_fds",
                "File descriptors that are open",
                None,
                usage.open_fds,
            ),
            (
                "process_max_fds",
                "File descriptors that may be open",
                None,
                usage.max_fds,
            ),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(
                name,
                help,
                unit.as_ref(),
                gauge.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
