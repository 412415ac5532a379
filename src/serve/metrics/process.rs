//! What the kernel says of this process, under the names that every Prometheus client uses
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;

/// Name, kind, help and value of each; one that the kernel does not tell is left out.
pub(super) fn numbers() -> Vec<(&'static str, &'static str, &'static str, f64)> {
    let all = [
        (
            "process_cpu_seconds_total",
            "counter",
            "CPU time, user and system",
            cpu_seconds(),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory in use",
            resident_bytes(),
        ),
        (
            "process_open_fds",
            "gauge",
            "Open file descriptors",
            open_descriptors(),
        ),
        (
            "process_max_fds",
            "gauge",
            "File descriptors that may be open",
            most_descriptors(),
        ),
    ];
    let known = all
        .into_iter()
        .filter_map(|(name, kind, help, value)| Some((name, kind, help, value?)));
    known.collect()
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: TimeVal| {
        let micros = i32::try_from(time.tv_usec()).unwrap_or(0);
        super::float(u64::try_from(time.tv_sec()).unwrap_or(0)) + f64::from(micros) / 1e6
    };
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// `VmRSS` of proc(5), in KiB there.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(super::float(kibibytes * 1024))
}

fn open_descriptors() -> Option<f64> {
    // The one that reads the folder is in it too.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(super::float(count.saturating_sub(1) as u64))
}

fn most_descriptors() -> Option<f64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(super::float(soft))
}
