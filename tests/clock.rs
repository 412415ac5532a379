//! A clock that is wrong for one process: a library in front of libc, for `LD_PRELOAD`.

use std::path::PathBuf;
use std::process::Command;

use crate::scratch;

/// It asks the kernel itself, since mongod looks at the clock before anything is set up by which libc's
/// own functions could be found.
const SOURCE: &str = "
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += OFF_BY;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec += OFF_BY;
    return failed;
}
";

/// The library for so many seconds, made by the compiler that links Rust's own programs.
pub(crate) fn off_by(seconds: i64) -> PathBuf {
    let folder = scratch::fresh("clock");
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SOURCE).expect("a source file");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-DOFF_BY=({seconds})"), "-o"])
        .args([&library, &source])
        .output()
        .expect("cc is there (Debian: apt-get install build-essential)");
    assert!(output.status.success(), "{output:?}");
    library
}
