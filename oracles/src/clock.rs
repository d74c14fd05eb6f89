//! The clock that every role is given, so that a simulated calendar is possible.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use contracts::units::{Day, UnixTime};

/// The file of a simulated calendar, where this process follows one.
static CALENDAR: OnceLock<PathBuf> = OnceLock::new();

/// From now on every clock of this process is moved by the seconds that a file names, read at each look: so a simulator moves
/// all its processes through months at once. Processes that nobody simulates never call this. A file that cannot be read
/// moves nothing.
pub fn follow(calendar: PathBuf) {
    // The first stays: a process has one calendar.
    let _ = CALENDAR.set(calendar);
}

fn simulated() -> i64 {
    CALENDAR
        .get()
        .and_then(|file| std::fs::read_to_string(file).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// System time, moved by a fixed number of seconds.
///
/// Time-outs and lifetimes of ceremonies use the monotonic clock instead and do not move with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    offset_seconds: i64,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self::default()
    }

    /// The system's time plus `offset_seconds`.
    pub fn with_offset(offset_seconds: i64) -> Self {
        Self { offset_seconds }
    }

    /// The present instant; seconds before 1970 are not told apart from 1970.
    pub fn now(&self) -> UnixTime {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let system = i64::try_from(system).unwrap_or(i64::MAX);
        UnixTime(
            system
                .saturating_add(self.offset_seconds)
                .saturating_add(simulated()),
        )
    }

    /// The present UTC day.
    ///
    /// # Panics
    /// When the clock stands before 1900 or after 2199, which no configuration that loads allows.
    pub fn today(&self) -> Day {
        self.now()
            .day()
            .expect("the clock stands between 1900 and 2199")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_calendar() {
        let day = Clock::system().today();
        let moved = Clock::with_offset(10 * 86_400).today();
        assert!((10..=11).contains(&(moved.number() - day.number())));
    }
}
