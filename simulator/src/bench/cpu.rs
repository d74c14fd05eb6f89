//! Processor time and memory of processes, from `/proc` (Linux): what a figure rests on when others use the machine too.

use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`: 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// User and system time that a process has used; of this one for `self`.
///
/// # Errors
/// No such process, or no `/proc`.
pub fn used(process: &str) -> Result<Duration, String> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The second field is the name in parentheses and may hold spaces.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64, String> {
        let field = fields.get(at).ok_or(format!("{path}: too few fields"))?;
        field.parse().map_err(|_| format!("{path}: not a number"))
    };
    // utime and stime are fields 14 and 15, counted from 1.
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS))
}

/// Bytes of a process that are in memory.
///
/// # Errors
/// No such process, or no `/proc`.
pub fn resident(process: u32) -> Result<f64, String> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: Option<f64> = kibibytes.and_then(|it| it.parse().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1_024.0)
        .ok_or_else(|| format!("{path}: no VmRSS"))
}

/// Processor time of one call, in microseconds, from as many as take half a second of it.
pub fn micros<T>(mut call: impl FnMut() -> T) -> Result<f64, String> {
    let began = used("self")?;
    let mut calls = 0u32;
    loop {
        for _ in 0..16 {
            std::hint::black_box(call());
        }
        calls += 16;
        let spent = used("self")?.saturating_sub(began);
        if spent >= Duration::from_millis(500) {
            return Ok(spent.as_secs_f64() * 1e6 / f64::from(calls));
        }
    }
}
